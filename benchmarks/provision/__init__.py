"""Provisioning: Flarefleet and stock NVFlare on the same federation, in turns."""
