"""The modules of NVFlare's simulator that Flarefleet starts or recognizes by their command lines."""

from __future__ import annotations

USES = {
    "nvflare.private.fed.app.simulator.simulator:define_simulator_parser": (
        "start the simulator as `python -m`"
    ),
    "nvflare.private.fed.app.simulator.simulator_worker:main": "recognize the process of a simulated site",
}

SIMULATOR_MODULE = "nvflare.private.fed.app.simulator.simulator"
SITE_MODULE = "nvflare.private.fed.app.simulator.simulator_worker"
