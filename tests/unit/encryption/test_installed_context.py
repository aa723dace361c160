"""A parent installs the context beside its key, and its jobs accept it although other files changed."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nvflare.fuel.sec.security_content_service import LoadResult, SecurityContentService

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Kit
from fl_app.jobs.user_code import UserCodeError, import_file
from fl_app.launchers.encryption_context import accept_context
from fl_app.launchers.manifest import startup_without_key
from fl_app.missing_tenseal import explain_missing_package
from fl_app.startup.installation import install_kit
from fl_app.startup.settings import Settings
from tests.unit.provision.federation import Federation

CONTEXT = "client_context.tenseal"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(SecurityContentService, "security_content_manager", None)
    monkeypatch.setattr(SecurityContentService, "content_folder", None)
    yield


@pytest.fixture
def handed_out(untouched: Federation, tmp_path: Path) -> Path:
    """The folder of a site: kit/ without secrets, and key/."""
    for part in ("kit", "key"):
        shutil.copytree(untouched.workspace.release / "site-1" / part, tmp_path / part)
    return tmp_path


def install(folder: Path) -> Path:
    workspace = folder / "workspace"
    workspace.mkdir()
    settings = Settings(workspace=workspace, server_address=("127.0.0.1", 9))
    install_kit(Kit.open(folder / "kit", folder / "key"), settings)
    return workspace


def test_a_job_finds_the_signed_context_in_the_workspace(handed_out: Path) -> None:
    workspace = install(handed_out)
    startup = workspace / "startup"
    assert (startup / CONTEXT).readlink() == handed_out / "key" / CONTEXT

    accept_context(workspace)
    SecurityContentService.initialize(str(startup))

    content, result = SecurityContentService.load_content(CONTEXT)
    assert (content, result) == ((handed_out / "key" / CONTEXT).read_bytes(), LoadResult.OK)
    assert SecurityContentService.load_json("fed_client.json")[1] is LoadResult.NOT_SIGNED
    manager = SecurityContentService.security_content_manager
    assert manager is not None and not manager.valid_config, (
        "NVFlare would compare the installed files with the kit's signatures"
    )


def test_a_job_pod_accepts_the_context_although_its_key_is_disposable(handed_out: Path) -> None:
    pod = handed_out / "pod"
    (pod / "startup").mkdir(parents=True)
    for name, content in startup_without_key(install(handed_out) / "startup", "client").items():
        (pod / "startup" / name).write_bytes(content)
    assert (pod / "startup" / "client.key").read_bytes() != (handed_out / "key" / "client.key").read_bytes()

    accept_context(pod)

    content, result = SecurityContentService.load_content(CONTEXT)
    assert (content, result) == ((handed_out / "key" / CONTEXT).read_bytes(), LoadResult.OK)


def test_a_context_that_changed_after_the_start_is_not_accepted(handed_out: Path) -> None:
    workspace = install(handed_out)
    (handed_out / "key" / CONTEXT).write_bytes(b"other")

    accept_context(workspace)

    assert SecurityContentService.load_content(CONTEXT)[1] is LoadResult.INVALID_SIGNATURE


def test_a_complete_kit_holds_its_own_context(untouched: Federation, tmp_path: Path) -> None:
    kit = Kit.open(untouched.workspace.kit("site-1"), tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()

    install_kit(kit, Settings(workspace=workspace))

    assert (workspace / "startup" / CONTEXT).readlink() == kit.startup / CONTEXT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, f"{CONTEXT} is missing; put the key of homomorphic"),
        (b"other", "use both from one kit of site-1"),
    ],
)
def test_a_parent_does_not_start_without_the_context_of_its_kit(
    handed_out: Path, content: bytes | None, reason: str
) -> None:
    file = handed_out / "key" / CONTEXT
    file.unlink() if content is None else file.write_bytes(content)

    with pytest.raises(StartupError, match=reason) as raised:
        install(handed_out)

    assert raised.value.exit_code is Exit.KEY


def test_invalid_signatures_are_refused(handed_out: Path) -> None:
    (handed_out / "kit" / "startup" / "signature.json").unlink()
    (handed_out / "kit" / "startup" / "signature.json").write_text("[]")

    with pytest.raises(StartupError, match=r"signature.json is invalid; provision again"):
        install(handed_out)


def test_a_workspace_without_a_context_keeps_nvflares_own_check(tmp_path: Path) -> None:
    (tmp_path / "startup").mkdir()

    accept_context(tmp_path)

    assert SecurityContentService.security_content_manager is None


def test_a_job_without_tenseal_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tenseal")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "path", [])  # an environment of the examples has tenseal
    importlib.invalidate_caches()

    explain_missing_package()
    explain_missing_package()

    with pytest.raises(ModuleNotFoundError, match=r"HEBuilder, or extras: \[he\] .*: pip install tenseal"):
        importlib.import_module("tenseal")
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"):
        importlib.import_module("no_such_package")


def test_a_job_of_the_user_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "tenseal")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "path", [])
    (tmp_path / "job.py").write_text("import tenseal\n")

    with pytest.raises(
        UserCodeError, match=r"job.py:1: .* requires the package tenseal, .* pip install tenseal"
    ):
        import_file("job_without_tenseal", tmp_path / "job.py")
