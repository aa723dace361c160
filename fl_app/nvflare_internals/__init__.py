"""Every private name of NVFlare that the kit depends on, behind functions of the kit."""
