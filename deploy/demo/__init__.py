"""`make demo`: from project.yml to a report, in a federation of hospitals on this machine.

`story` tells it, `compare` trains what the federation is held against, `report` says what was measured, and
`page`, `charts` and `printed` show it.
"""
