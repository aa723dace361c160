"""Client of the PyTorch examples: full-batch training of the classifier."""

import argparse
import copy

import nvflare.client as flare
import torch
from example_jobs.dataset import points
from example_jobs.model import Classifier
from nvflare.app_opt.pt.fedce import PTFedCEHelper
from nvflare.app_opt.pt.scaffold import PTScaffoldHelper
from nvflare.client.tracking import SummaryWriter

STEPS, RATE = 3, 0.1

parser = argparse.ArgumentParser()
parser.add_argument("--algorithm", default="fedavg", choices=["fedavg", "fedprox", "scaffold", "fedce"])
algorithm = parser.parse_args().algorithm

torch.set_num_threads(1)
flare.init()
site = flare.get_site_name()
features, labels = map(torch.as_tensor, points(site))
net, trained = Classifier(), {}
scaffold, controls = PTScaffoldHelper(), ()
if algorithm == "scaffold":
    scaffold.init(net)
writer = SummaryWriter()


def accuracy(model):
    model.eval()
    with torch.no_grad():
        return float((model(features).argmax(1) == labels).float().mean())


def train(start):
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    net.train()
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(features), labels)
        if algorithm == "fedprox":
            apart = zip(net.parameters(), start.parameters(), strict=True)
            loss = loss + 0.05 * sum(((one - other.detach()) ** 2).sum() for one, other in apart)
        loss.backward()
        optimizer.step()
        if algorithm == "scaffold":
            scaffold.model_update(net, RATE, *controls)
    return float(loss)


while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    if flare.is_submit_model():
        flare.send(flare.FLModel(params=trained))
        continue
    net.load_state_dict({name: torch.as_tensor(value) for name, value in received.params.items()})
    metrics = {"accuracy": accuracy(net)}
    if flare.is_evaluate():
        flare.send(flare.FLModel(metrics=metrics))
        continue
    if algorithm == "scaffold":
        scaffold.load_global_controls(received.meta["scaffold_c_global"])
        controls = scaffold.get_params()
    start, meta = copy.deepcopy(net), {"NUM_STEPS_CURRENT_ROUND": STEPS}
    loss = train(start)
    writer.add_scalar("loss", loss, global_step=received.current_round)
    before, trained = trained, {name: value.clone() for name, value in net.state_dict().items()}
    if algorithm == "scaffold":
        scaffold.terms_update(net, RATE, *controls, start)
        meta["scaffold_c_diff"] = scaffold.get_delta_controls()
    if algorithm == "fedce":
        difference = {name: value - start.state_dict()[name] for name, value in trained.items()}
        result = flare.FLModel(
            params=difference, params_type=flare.ParamsType.DIFF, metrics=metrics, meta=meta
        )
        weight = PTFedCEHelper.get_contribution_weight(received, site, default=0.5)
        minus = PTFedCEHelper.make_minus_model(start, before, weight) if before else start
        flare.send(PTFedCEHelper.set_minus_model_score(result, 1 - accuracy(minus)))
    else:
        flare.send(flare.FLModel(params=trained, metrics=metrics, meta=meta))
