"""Run a job in NVFlare's simulator: on one machine, without certificates and without a federation."""

from deploy.simulation.run import collect_results, simulate

__all__ = ["collect_results", "simulate"]
