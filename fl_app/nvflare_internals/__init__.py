"""Every private name of NVFlare that Flarefleet depends on, one module a subject, behind names of our own.

Each module declares `USES`. `self_check` compares these names with an NVFlare release.
"""
