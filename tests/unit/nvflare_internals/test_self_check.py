"""The self-check of NVFlare's private names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.nvflare_internals import self_check
from fl_app.nvflare_internals.self_check import PrivateName, installed_root, missing_names
from fl_app.startup.checks import check_nvflare

SOURCE = """\
from nvflare.base import (
    Ground as Base,
)

LIMIT: int = 3


class Engine(Base):
    timeout = 5

    def __init__(self):
        self.cell = None
        self.first, self.second = 1, 2

    async def _run(self):
        return "engine stopped: done"


def helper():
    unrelated = 1
"""
BASE = "class Root:\n    def inherited(self): ...\n\n\nclass Ground(Root):\n    own = 1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "nvflare"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "engine.py").write_text(SOURCE)
    (package / "base.py").write_text(BASE)
    return tmp_path


def test_the_installed_release_has_every_name() -> None:
    assert missing_names(installed_root()) == []
    modules = {file.stem for file in Path(self_check.__file__).parent.glob("*.py")}
    declaring = {file for file in modules if self_check._uses_in(Path(self_check.__file__).with_stem(file))}
    assert modules - declaring == {"__init__", "self_check"}


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("nvflare.engine:LIMIT", True),
        ("nvflare.engine:helper", True),
        ("nvflare.engine:Base", True),
        ("nvflare.engine:Engine._run", True),
        ("nvflare.engine:Engine.timeout", True),
        ("nvflare.engine:Engine.cell", True),
        ("nvflare.engine:Engine.first", True),
        ("nvflare.engine:Engine.own", True),
        ("nvflare.engine:Engine.inherited", True),
        ("log:nvflare.engine:engine stopped: ", True),
        ("package_that_is_not_installed:name", True),
        ("nvflare.engine:Other", False),
        ("nvflare.engine:Engine._stop", False),
        ("nvflare.engine:Engine.unrelated", False),
        ("nvflare.engine:timeout", False),
        ("nvflare.gone:LIMIT", False),
        ("log:nvflare.engine:engine failed", False),
    ],
)
def test_only_missing_names_are_reported(root: Path, name: str, exists: bool) -> None:
    one = PrivateName(name, "test")
    assert missing_names(root, [one]) == ([] if exists else [one])


def test_names_that_cannot_be_read_without_an_import_are_rejected(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("USES = {name(): {}}\n")
    with pytest.raises(ValueError, match="malformed"):
        self_check._uses_in(module)


def test_the_command_exits_with_1_if_a_name_is_missing(
    monkeypatch: pytest.MonkeyPatch, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert self_check.main() == 0
    monkeypatch.setattr(self_check, "installed_root", lambda: root)
    assert self_check.main() == 1
    assert "| `nvflare.private.fed.app.utils:version_check` |" in capsys.readouterr().out


def test_a_parent_does_not_start_with_an_nvflare_that_lacks_a_name(
    monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setattr("fl_app.startup.checks.installed_root", lambda: root)
    with pytest.raises(
        StartupError, match=r"fed\.app\.utils:version_check \(refuse unsupported Python"
    ) as raised:
        check_nvflare()
    assert raised.value.exit_code is Exit.INCOMPATIBLE
