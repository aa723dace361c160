"""Check NVFlare's private names against the newest pre-release: `python -m tests.nvflare_prerelease`.

The exit status is 0 whatever is missing, and also if the package index is unreachable.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from fl_app.nvflare_internals.self_check import declared_names, missing_names, table

CACHE = Path(__file__).parents[1] / ".cache" / "nvflare-prerelease"


def main() -> None:
    """Download the newest release or pre-release and print the names that it lacks."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--pre", "--dest", folder]
        downloaded = subprocess.run([*command, "nvflare"], check=False)
        wheel = next(Path(folder).glob("*.whl"), None)
        if downloaded.returncode or wheel is None:
            print("cannot download NVFlare's newest pre-release; its private names were not checked")
            return
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        missing = missing_names(Path(folder))
        version = wheel.name.split("-")[1]
    names = len(declared_names())
    print(f"NVFlare {version} lacks {len(missing)} of {names} private names")
    if missing:
        print(table(missing))


if __name__ == "__main__":
    main()
