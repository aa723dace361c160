"""Jobs under faults: every kill on every runtime, what became of the job, and what stock NVFlare does."""
