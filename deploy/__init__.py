"""The operator's side of Flarefleet: what runs on a workstation, never in a container."""
