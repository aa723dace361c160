"""Paths of the files that Flarefleet consists of beside its modules: charts, the Dockerfile, runbooks.

`data` has them: links in a checkout, which become files of the installed package when a wheel is built.
"""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
"""The folder of the packages deploy and fl_app: the checkout, or site-packages."""
DATA = Path(__file__).resolve().with_name("data")
IS_CHECKOUT = (CHECKOUT / "images" / "Dockerfile").is_file()

CHARTS = (DATA / "helm").resolve()
RUNBOOKS = (DATA / "runbooks").resolve()
DEMO_PROJECT = DATA / "project.yml"
"""The federation of `flarefleet demo` where the folder has no project.yml."""
PROJECT_SCHEMA = DATA / "project.schema.json"
"""JSON schema of project.yml, for editors."""

CACHE = (
    CHECKOUT / ".cache"
    if IS_CHECKOUT
    else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "flarefleet")
)
"""Files that Flarefleet can make or download again."""
TOOLS = CHECKOUT / ".tools" if IS_CHECKOUT else CACHE / "tools"
"""Programs that `make tools` or `python -m deploy.tools` downloads."""
