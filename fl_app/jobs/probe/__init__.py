"""A job without training: it checks whether a federation can run jobs, and how fast."""
