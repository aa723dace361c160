"""The launchers of a parent: each job runs in a process that exits with the parent, or in a pod."""
