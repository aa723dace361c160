"""Peak memory of each process of a job by the size of its model."""
