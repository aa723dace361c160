"""Programs of this machine."""

from __future__ import annotations

import pytest

from deploy import programs
from deploy.errors import MachineError


def test_an_environment_without_pip_names_the_installation_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(
        MachineError, match=r"has no pip\. Install Flarefleet again with: uv tool install --with pip"
    ):
        programs.pip()
