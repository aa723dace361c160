"""A job folder to start from: `write_job` (write.py) makes it from the templates beside."""

from deploy.new_job.write import FRAMEWORKS, write_job

__all__ = ["FRAMEWORKS", "write_job"]
