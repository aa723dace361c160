"""Release folders, workspace/PROJECT/release/NAME: what each server and site needs to install itself."""

from deploy.release.participant import release_name
from deploy.release.update import ReleaseReport, update_releases

__all__ = ["ReleaseReport", "release_name", "update_releases"]
