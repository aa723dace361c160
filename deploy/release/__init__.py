"""Release folders, workspace/PROJECT/release/NAME: what each server and site needs to install itself."""

from deploy.release.update import update_releases

__all__ = ["update_releases"]
