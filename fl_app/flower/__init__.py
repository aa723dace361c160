"""Flower apps as jobs: NVFlare's bridge to Flower, with the ends that it lacks.

What NVFlare's own bridge lets pass, and this does not: a ClientApp that raises (the job would go on without
it), a ServerApp whose failure is told as "rc=103", a Flower that it cannot work with, processes left behind
by an abort, telemetry to Flower's makers, packages installed while a job runs, code that a site has not.
"""
