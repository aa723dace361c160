"""Code of the containers of a federation: jobs, telemetry, and the start of each parent."""
