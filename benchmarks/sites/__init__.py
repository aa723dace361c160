"""Many sites on one server: Flarefleet against stock NVFlare, with simulated sites."""
