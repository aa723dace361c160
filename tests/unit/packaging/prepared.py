"""Print as JSON what the installed command prepares for images, containers, charts and monitoring.

A test runs this file with the Python of an installed wheel, in the folder of a provisioned federation.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from deploy.charts.package import CHART_NAMES, package_chart
from deploy.checkout import CHARTS
from deploy.images.build import default_base_image
from deploy.images.inputs import DOCKERFILE, build_context, source_digest
from deploy.monitoring.grafana import HOME_DASHBOARD, write_provisioning
from deploy.monitoring.paths import DASHBOARDS
from deploy.monitoring.scrape import Scrape
from deploy.project import load_project
from deploy.release.compose import federation_file


def main() -> None:
    """Print the facts."""
    project = load_project(Path("project.yml"))
    names = [parent.name for parent in project.parents]
    monitor = Path("monitor").absolute()
    monitor.mkdir()
    Scrape(monitor).write()
    write_provisioning(monitor / "provisioning", "http://127.0.0.1:9090")
    facts = {
        "context": str(build_context()),
        "dockerfile": str(DOCKERFILE),
        "digest": source_digest("cpu"),
        "base": default_base_image(),
        "compose": federation_file(
            project,
            images=dict.fromkeys(names, "image:1"),
            key_volumes={name: f"{name}-key" for name in names},
            workspace=Path("workspace").absolute(),
        ),
        "charts": str(CHARTS),
        "packages": {name: hashlib.sha256(package_chart(name)).hexdigest() for name in CHART_NAMES},
        "rules": str(monitor / "rules.yaml"),
        "dashboards": sorted(file.name for file in DASHBOARDS.glob("*.json")),
        "home": HOME_DASHBOARD,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
