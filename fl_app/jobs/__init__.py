"""Jobs of Flarefleet, one folder each, and the base classes of all jobs."""
