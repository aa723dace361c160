"""Every private name of NVFlare that the kit depends on, behind names of our own."""
