"""Write the dashboards and alert rules of helm/flare-monitoring anew: `make dashboards`.

`--check` writes nothing and fails where a file differs from what the code makes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.monitoring.alerts import rules
from deploy.monitoring.paths import DASHBOARDS, RULES


def generated() -> dict[Path, str]:
    """Every generated file, with what it should hold."""
    from deploy.monitoring.dashboards import documents

    boards = {DASHBOARDS / name: text for name, text in documents().items()}
    return {RULES / "flarefleet.yaml": rules(), **boards}


def main() -> int:
    """Write the files, or with --check say which ones drifted; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file drifted")
    check = parser.parse_args().check
    wanted = generated()
    drifted = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    strangers = [path for folder in (RULES, DASHBOARDS) for path in folder.glob("*") if path not in wanted]
    for path in drifted:
        print(f"{path}: {'differs from deploy/monitoring; run make dashboards' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    for path in strangers:
        print(f"{path}: deploy/monitoring makes no such file; remove it")
    return 1 if strangers or (check and drifted) else 0


if __name__ == "__main__":
    sys.exit(main())
