"""Generate the dashboards and alert rules of helm/flare-monitoring: `make dashboards`.

`--check` writes nothing and fails if a file differs from the generated content.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.monitoring.alerts import rules
from deploy.monitoring.paths import DASHBOARDS, RULES
from maintenance.dashboards import documents


def generated() -> dict[Path, str]:
    """Return the content of every generated file."""
    boards = {DASHBOARDS / name: text for name, text in documents().items()}
    return {RULES / "flarefleet.yaml": rules(), **boards}


def main() -> int:
    """Write the files, or with --check list those that differ; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    files = generated()
    outdated = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    unknown = [path for folder in (RULES, DASHBOARDS) for path in folder.glob("*") if path not in files]
    for path in outdated:
        print(f"{path}: {'is out of date; run make dashboards' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    for path in unknown:
        print(f"{path}: is not a generated file; remove it")
    return 1 if unknown or (check and outdated) else 0


if __name__ == "__main__":
    sys.exit(main())
