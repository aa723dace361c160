"""Client of federated logistic regression: gradient and Hessian of the site's points."""

import numpy as np
import nvflare.client as flare
from example_jobs.dataset import points

flare.init()
features, labels = points(flare.get_site_name())
features = np.hstack([np.ones((len(features), 1)), features])
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    weights = received.params["numpy_key"]
    chance = 1 / (1 + np.exp(-features @ weights))
    gradient = features.T @ (labels[:, None] - chance)
    hessian = features.T @ (chance * (1 - chance) * features)
    flare.send(
        flare.FLModel(
            params={"gradient": gradient, "hessian": hessian},
            metrics={"accuracy": float(((chance > 0.5)[:, 0] == labels).mean())},
            meta={"NUM_STEPS_CURRENT_ROUND": len(labels)},
        )
    )
