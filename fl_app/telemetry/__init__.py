"""Health and metrics of parents and of their job processes."""
