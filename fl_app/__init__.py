"""What runs in the containers of a federation: jobs, telemetry, tracking, and the start of each parent process."""
