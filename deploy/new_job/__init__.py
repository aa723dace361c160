"""Create a job folder to start from: `write_job` renders the templates beside it."""

from deploy.new_job.write import FRAMEWORKS, write_job

__all__ = ["FRAMEWORKS", "write_job"]
