"""Health and metrics of parents and job processes."""
