"""checkov finds nothing in the charts but what is justified here, one line each."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from deploy.checkout import TOOLS
from tests.charts.rendering import CHARTS, minimal, overlaid, render

JUSTIFIED = {
    (
        "StatefulSet",
        "CKV_K8S_11",
    ): "a CPU limit would throttle training; how much a site may take is its operator's to say",
    (
        "StatefulSet",
        "CKV_K8S_13",
    ): "what training needs of memory is the job's, so a limit is the operator's to set",
    ("StatefulSet", "CKV_K8S_43"): "image.digest pins it; the default is the tag of the release",
    (
        "StatefulSet",
        "CKV_K8S_15",
    ): "IfNotPresent: tags are not moved, and a site must start while its registry is down",
    ("StatefulSet", "CKV_K8S_38"): "with launcher pod the parent talks to the API; its Role says what it may",
    ("Pod", "CKV_K8S_8"): "the pod of helm test ends by itself within a minute",
    ("Pod", "CKV_K8S_9"): "nothing connects to the pod of helm test",
    ("Pod", "CKV_K8S_11"): "it runs for a second",
    ("Pod", "CKV_K8S_15"): "it runs the image that the parent runs",
    ("Pod", "CKV_K8S_43"): "it runs the image that the parent runs",
}
"""(Kind, check) to why it is right so."""

PROGRAM = TOOLS / "checkov" / "bin" / "checkov"


@pytest.fixture(scope="module")
def checkov() -> Path:
    """The program, where `python -m maintenance.ci_tools` put it."""
    if not PROGRAM.exists():
        missing = f"no checkov at {PROGRAM}; fetch it: python -m maintenance.ci_tools"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return PROGRAM


def test_checkov_finds_nothing_that_is_not_justified(checkov: Path, tmp_path: Path) -> None:
    for chart in CHARTS:
        for launcher in ("process", "pod"):
            text = render(chart, overlaid(minimal(), {"launcher": launcher})).text
            (tmp_path / f"{chart}-{launcher}.yaml").write_text(text)
    command = [
        str(checkov),
        "--framework",
        "kubernetes",
        "--directory",
        str(tmp_path),
        "--output",
        "json",
        "--compact",
    ]
    ended = subprocess.run([*command, "--skip-download"], capture_output=True, text=True, check=False)
    report = json.loads(ended.stdout)
    found = {(one["resource"].split(".")[0], one["check_id"]) for one in report["results"]["failed_checks"]}
    assert report["summary"]["passed"] > 300
    assert found == set(JUSTIFIED), "found and not justified, or justified and not found"
