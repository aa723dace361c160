"""A site of the job: each round adds one to the array."""

import nvflare.client as flare

flare.init()
while flare.is_running():
    model = flare.receive()
    params = {name: value + 1 for name, value in model.params.items()}
    accuracy = float(model.params["numpy_key"].mean())
    flare.send(
        flare.FLModel(params=params, metrics={"accuracy": accuracy}, meta={"NUM_STEPS_CURRENT_ROUND": 1})
    )
