"""`make demo`: a federation of hospitals on this machine, from project.yml to a report.

`scenario` runs it, `comparison` trains the models to compare with, `report` holds the measurements, and
`page`, `charts` and `terminal` present them.
"""
