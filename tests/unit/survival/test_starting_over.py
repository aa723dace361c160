"""Workflows of an exported job that start over after a kill are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_app.survival.starting_over import classes_without_checkpoint


@pytest.mark.parametrize(("every", "expected"), [(0, True), (1, False)])
def test_a_relay_that_never_persists_starts_over(every: int, expected: bool, tmp_path: Path) -> None:
    path, args = "nvflare.app_common.workflows.cyclic_ctl.CyclicController", {"persist_every_n_rounds": every}
    file = tmp_path / "app" / "config" / "config_fed_server.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"workflows": [{"path": path, "args": args}], "components": []}))

    assert classes_without_checkpoint(tmp_path) == ([path] if expected else [])
