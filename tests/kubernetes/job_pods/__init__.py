"""`launcher: pod`: jobs in pods of their own, under Pod Security `restricted`."""
