"""Checks of a participant as data: at the start of a parent, in `helm test`, and in `flarefleet doctor`.

docs/doctor.md lists them. `fl_app.startup.checks` adds those of a parent, and `deploy` those of an operator.
"""
