"""A site of the stock job: the training of Flarefleet's jobs, through NVFlare's Client API."""

import argparse

import nvflare.client as flare
import torch
from nvflare.client.tracking import SummaryWriter

from fl_app.jobs.hospital.data import divide
from fl_app.jobs.hospital.model import TumourClassifier
from fl_app.jobs.hospital.training import Training, measure, train

arguments = argparse.ArgumentParser()
arguments.add_argument("--sites", nargs="+")
arguments.add_argument("--job", choices=("hospital", "probe"))
chosen = arguments.parse_args()

flare.init()
writer = SummaryWriter()
index = chosen.sites.index(flare.get_site_name())
torch.set_num_threads(1)
if chosen.job == "hospital":
    cohort = divide(len(chosen.sites), 0)
    patients, test = cohort.hospitals[index], cohort.test
    model = TumourClassifier(32, 0)
    training = Training(2, 0.05, 32)


def train_once(weights, number):
    model.load_state_dict(weights)
    received, received_here = measure(model, test), measure(model, patients)
    loss = train(model, patients, training, (0, index, number))
    trained = measure(model, test)
    for tag, value in {
        "accuracy": received.accuracy,
        "loss": received.loss,
        "accuracy_after_training": trained.accuracy,
        "own_accuracy": received_here.accuracy,
        "train_loss": loss,
    }.items():
        writer.add_scalar(tag, value, global_step=number)
    return model.state_dict(), {"own_accuracy": received_here.accuracy}, len(patients)


def add_one(weights, number):
    writer.add_scalar("round", number + 1, global_step=number)
    return {name: value + 1 for name, value in weights.items()}, {"round": float(number + 1)}, 1


work = train_once if chosen.job == "hospital" else add_one
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    weights, metrics, examples = work(received.params, received.current_round)
    flare.send(
        flare.FLModel(params=weights, metrics=metrics, meta={"NUM_STEPS_CURRENT_ROUND": examples}),
    )
