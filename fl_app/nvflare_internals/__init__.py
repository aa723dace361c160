"""Every private name of NVFlare that Flarefleet depends on, behind our own names; one module a subject.

Each module declares `USES`: the private names with their purposes, as a literal.
`self_check` compares these names with an NVFlare release.
"""
