"""A job in NVFlare's simulator: one machine, no certificates, no federation.

`simulate` and `lay_out` (run.py) are what others call; keeper.py is the process that starts the simulator and
leaves nothing of it behind.
"""

from deploy.simulation.run import lay_out, simulate

__all__ = ["lay_out", "simulate"]
