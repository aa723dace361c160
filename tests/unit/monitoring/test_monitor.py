"""`flarefleet monitor` where it cannot run."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.errors import InputError
from deploy.monitoring.monitor import monitoring


def test_the_advice_for_a_cluster_needs_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Any = SimpleNamespace(name="kubernetes")
    with pytest.raises(InputError) as refused, monitoring(runtime, tmp_path, 9090, 3000):
        pass
    save, install = re.findall(r"^  (.+)$", str(refused.value), re.MULTILINE)

    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, save.split()[1:]).exit_code == 0

    package = Path(install.split()[3])
    assert package.is_file()
    assert f"helm show readme {package}" in str(refused.value)
