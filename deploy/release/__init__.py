"""What each server and site is handed to install itself with Helm: workspace/PROJECT/release/NAME."""

from deploy.release.write import ReleaseReport, release_name, write_release

__all__ = ["ReleaseReport", "release_name", "write_release"]
