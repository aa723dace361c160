"""The sites' part of the job `chaos`."""
