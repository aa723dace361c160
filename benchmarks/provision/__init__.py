"""Benchmark of provisioning: Flarefleet and stock NVFlare on the same federation, alternately."""
