"""The job `probe`."""
