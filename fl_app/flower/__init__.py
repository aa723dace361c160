"""Flower apps as jobs of NVFlare, with the error handling that NVFlare's Flower integration lacks.

- A ClientApp that raises ends the job; NVFlare's integration continues without it.
- A ServerApp that fails ends the job with its exception; NVFlare reports `rc=103`.
- An unsupported Flower version is reported before the job starts.
- No process is left after a job, and a site runs only the app that its own image has.
- Flower sends no telemetry and installs no packages.
"""
