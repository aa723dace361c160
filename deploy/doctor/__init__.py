"""Find what would fail, before it fails: for an operator, for a site, and for an administrator's laptop.

`fl_app.checks` says what a check is. `deploy.doctor.catalogue` lists all of them for docs/doctor.md.
"""
