"""Write the packages of all charts into a folder: `python -m deploy.charts FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from deploy.charts.package import CHART_NAMES, chart_file, package_chart

for name in CHART_NAMES:
    Path(sys.argv[1], chart_file(name)).write_bytes(package_chart(name))
