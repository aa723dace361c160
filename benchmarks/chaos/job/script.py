"""A site of the job `chaos` whose training runs in a process of its own."""

import argparse
import time

import numpy as np
import nvflare.client as flare
from chaos_job.training import examples, report, trained

arguments = argparse.ArgumentParser()
arguments.add_argument("--sites", nargs="+")
arguments.add_argument("--seconds", type=float)
chosen = arguments.parse_args()

flare.init()
site, job_id = flare.get_site_name(), flare.get_job_id()
position = chosen.sites.index(site)
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    started, number = time.time(), received.current_round + 1
    ((name, weights),) = received.params.items()
    after = trained(weights, position, number)
    time.sleep(chosen.seconds)
    report(job_id, site, number, started, np.asarray(weights))
    flare.send(
        flare.FLModel(
            params={name: after},
            metrics={"round": float(number)},
            meta={"NUM_STEPS_CURRENT_ROUND": examples(position)},
        )
    )
