"""Release folders, workspace/PROJECT/release/NAME: what each server and site needs to install itself."""

from deploy.release.update import ReleaseReport, update_releases

__all__ = ["ReleaseReport", "update_releases"]
