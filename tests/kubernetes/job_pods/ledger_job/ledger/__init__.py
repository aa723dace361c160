"""The package that the job sends to the sites."""
