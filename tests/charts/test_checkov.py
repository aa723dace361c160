"""checkov reports only the findings that are justified here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from deploy.checkout import TOOLS
from tests.charts.rendering import CHARTS, minimal, overlaid, render
from tests.skipping import skip_or_fail_in_ci

JUSTIFIED = {
    "StatefulSet CKV_K8S_11": "a CPU limit would throttle training; the operator of the site decides",
    "StatefulSet CKV_K8S_13": "the memory need depends on the job; the operator of the site decides",
    "StatefulSet CKV_K8S_43": "image.digest pins it; the default is the tag of the release",
    "StatefulSet CKV_K8S_15": "tags are immutable, and a site must start while the registry is down",
    "StatefulSet CKV_K8S_38": "with launcher pod the parent calls the API; its Role limits it",
    "Pod CKV_K8S_8": "the pod of helm test exits within a minute",
    "Pod CKV_K8S_9": "nothing connects to the pod of helm test",
    "Pod CKV_K8S_11": "it runs for a second",
    "Pod CKV_K8S_15": "it runs the image of the parent",
    "Pod CKV_K8S_43": "it runs the image of the parent",
}
"""Justified findings: kind and check, and the reason."""

PROGRAM = TOOLS / "checkov" / "bin" / "checkov"


@pytest.fixture(scope="module")
def checkov() -> Path:
    """Return the path of checkov, which `python -m maintenance.ci_tools` installs."""
    if not PROGRAM.exists():
        skip_or_fail_in_ci(f"no checkov at {PROGRAM}; install it: python -m maintenance.ci_tools")
    return PROGRAM


def test_checkov_has_only_justified_findings(checkov: Path, tmp_path: Path) -> None:
    for chart in CHARTS:
        for launcher in ("process", "pod"):
            text = render(chart, overlaid(minimal(), {"launcher": launcher})).text
            (tmp_path / f"{chart}-{launcher}.yaml").write_text(text)
    options = f"--framework kubernetes --directory {tmp_path} --output json --compact --skip-download"
    ended = subprocess.run([checkov, *options.split()], capture_output=True, text=True, check=False)
    report = json.loads(ended.stdout)
    found = {
        f"{one['resource'].split('.')[0]} {one['check_id']}" for one in report["results"]["failed_checks"]
    }
    assert report["summary"]["passed"] > 300
    assert found == set(JUSTIFIED), "found and not justified, or justified and not found"
