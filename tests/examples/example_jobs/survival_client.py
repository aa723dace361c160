"""Client of the Kaplan-Meier example: the latest time, then the counts at each time."""

import numpy as np
import nvflare.client as flare

flare.init()
random = np.random.default_rng(len(flare.get_site_name()) + int(flare.get_site_name()[-1]))
times = random.integers(1, 30, size=50)
died = random.random(50) < 0.7
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    if "length" in received.params:
        length = int(received.params["length"]) + 1
        counts = {
            "events": np.bincount(times[died], minlength=length),
            "censored": np.bincount(times[~died], minlength=length),
        }
        flare.send(flare.FLModel(params=counts))
    else:
        flare.send(flare.FLModel(params={"latest": int(times.max())}))
