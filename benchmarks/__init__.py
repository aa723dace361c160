"""Measurements against stock NVFlare, side by side in one run."""
