"""The results of a job pod for a parent whose volume is full; NVFlare's own handler unpacks them."""

from __future__ import annotations

import errno
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.app_opt.job_launcher import workspace_cell_transfer
from nvflare.app_opt.job_launcher.workspace_cell_transfer import WorkspaceTransferManager
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.utils import new_cell_message
from nvflare.fuel.f3.message import Message

from fl_app.nvflare_internals import workspace_transfer
from fl_app.nvflare_internals.workspace_transfer import deliver_when_there_is_space, wait_for_delivery

JOB = "j1"
RESULT = b"trained" * 200


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_cell_transfer, "zipfile", zipfile)
    monkeypatch.setattr(workspace_transfer, "RETRY_SECONDS", 0.01)


@pytest.fixture
def deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Return a parent, and what delivers the results of its job."""
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr(f"{JOB}/log.txt", RESULT)
    monkeypatch.setattr(
        workspace_cell_transfer,
        "download_file",
        lambda location, **_: (None, shutil.copy(bundle, location)),
    )
    cell = SimpleNamespace(get_fqcn=lambda: "site-1", register_request_cb=lambda **_: None)
    manager = WorkspaceTransferManager(cell)
    token = manager.add_job(JOB, str(tmp_path / "workspace"))
    request = new_cell_message(
        {MessageHeaderKey.ORIGIN: "site-1.j1"}, {"job_id": JOB, "transfer_token": token, "ref_id": "r"}
    )

    def publish() -> Message:
        return manager._handle_publish_results(request)

    yield SimpleNamespace(
        publish=publish, result=tmp_path / "workspace" / JOB / "log.txt", manager=manager, jobs=manager.jobs
    )


def free(monkeypatch: pytest.MonkeyPatch, *sizes: int) -> None:
    """Let the volume have these numbers of free bytes, one after the other; the last one stays."""
    left = list(sizes)
    monkeypatch.setattr(
        workspace_transfer.shutil,
        "disk_usage",
        lambda _: SimpleNamespace(free=left.pop(0) if len(left) > 1 else left[0]),
    )


def test_results_wait_until_the_volume_has_space_for_all_of_them(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0, 123, len(RESULT))
    waited: list[tuple[str, str, bool]] = []
    deliver_when_there_is_space(
        deliver.jobs, lambda job, why: not waited.append((job, why, deliver.result.exists()))
    )

    reply = deliver.publish()

    assert reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK
    assert deliver.result.read_bytes() == RESULT
    assert waited == [
        (JOB, f"has {free} bytes free, and the results need 1.4 kB", False) for free in (0, 123)
    ]


def test_files_that_an_earlier_attempt_left_need_no_more_space(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver.result.parent.mkdir(parents=True)
    deliver.result.write_bytes(RESULT[:1000])
    free(monkeypatch, len(RESULT) - 1000)
    waited: list[str] = []
    deliver_when_there_is_space(deliver.jobs, lambda job, why: bool(waited.append(why)))

    assert deliver.publish().get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK
    assert deliver.result.read_bytes() == RESULT
    assert not waited


@pytest.mark.parametrize("is_unpacked", [False, True])
def test_the_delivery_of_a_killed_pod_leaves_the_record_of_its_successor(
    is_unpacked: bool, deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unpack = zipfile.ZipFile.extractall

    def create_again() -> None:
        deliver.manager.add_job(JOB, str(tmp_path / "workspace"))

    def extractall(self: zipfile.ZipFile, path: str) -> None:
        unpack(self, path)
        create_again()

    def wait(job: str, why: str) -> bool:
        create_again()
        return True

    if is_unpacked:
        monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    else:
        free(monkeypatch, 0, len(RESULT))
    deliver_when_there_is_space(deliver.jobs, wait)

    reply = deliver.publish()

    assert "replaced" in reply.get_header(MessageHeaderKey.ERROR)
    assert JOB in deliver.jobs
    assert deliver.result.exists() == is_unpacked


def test_a_job_pod_waits_for_its_delivery_neither_shorter_than_nvflare_nor_for_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for nvflare, seconds in ((600.0, 3600.0), (7200.0, 7200.0)):
        monkeypatch.setattr(workspace_cell_transfer, "DOWNLOAD_TIMEOUT", nvflare)
        wait_for_delivery()
        assert seconds == workspace_cell_transfer.DOWNLOAD_TIMEOUT


def test_results_are_unpacked_again_after_the_volume_was_filled_meanwhile(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OSError(errno.ENOSPC, "No space left on device")]
    unpack = zipfile.ZipFile.extractall

    def extractall(self: zipfile.ZipFile, path: str) -> None:
        unpack(self, path)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(zipfile.ZipFile, "extractall", extractall)
    waited: list[str] = []
    deliver_when_there_is_space(deliver.jobs, lambda job, why: not waited.append(why))

    assert deliver.publish().get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK
    assert waited == ["is full (No space left on device)"]
    assert deliver.result.read_bytes() == RESULT


def test_the_results_of_an_aborted_job_do_not_wait(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0)
    deliver_when_there_is_space(deliver.jobs, lambda job, why: False)

    assert deliver.publish().get_header(MessageHeaderKey.RETURN_CODE) != ReturnCode.OK
    assert not deliver.result.exists()


def test_the_results_of_a_job_that_was_aborted_during_the_download_do_not_wait(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 0, len(RESULT))
    download = workspace_cell_transfer.download_file

    def download_and_abort(**options: object) -> object:
        deliver.manager.remove_job(JOB)
        return download(**options)

    monkeypatch.setattr(workspace_cell_transfer, "download_file", download_and_abort)
    deliver_when_there_is_space(deliver.jobs, lambda job, why: True)

    assert deliver.publish().get_header(MessageHeaderKey.RETURN_CODE) != ReturnCode.OK
    assert not deliver.result.exists()


def test_another_error_of_the_volume_is_not_hidden(
    deliver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: zipfile.ZipFile, path: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", fail)
    deliver_when_there_is_space(deliver.jobs, lambda job, why: True)

    reply = deliver.publish()

    assert "Read-only file system" in reply.get_header(MessageHeaderKey.ERROR)
