"""Components of a job outside the job store: its event files, and logs that sites are sending."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fl_app.contract import ANALYTICS_FOLDER, EVENT_FILES_COMPONENT, SITE_LOGS_FOLDER
from tests.unit.survival.server import Server

EVENTS = "events.out.tfevents.1.server"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.fixture
def job_id(server: Server) -> str:
    """A job whose sites log values and send their logs."""
    job_id = server.submit()
    for path, text in {
        f"{ANALYTICS_FOLDER}/{job_id}/site-1/{EVENTS}": "values",
        f"{SITE_LOGS_FOLDER}/{job_id}/site-1/log.txt": "epoch 1\n",
    }.items():
        file = server.folder / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
    return job_id


def downloaded(server: Server, job_id: str, component: str, into: Path) -> Path:
    with server.new_context() as fl_ctx:
        server.manager.get_storage_for_download(job_id, str(into), component, component, fl_ctx)
    return into / job_id / component


def test_event_files_are_a_component_of_a_running_job(server: Server, job_id: str, tmp_path: Path) -> None:
    with server.new_context() as fl_ctx:
        names = server.manager.list_components(job_id, fl_ctx)

    assert {EVENT_FILES_COMPONENT, "LOG_log.txt_site-1", "meta"} <= set(names)
    with zipfile.ZipFile(downloaded(server, job_id, EVENT_FILES_COMPONENT, tmp_path / "d")) as archive:
        assert archive.read(f"site-1/{EVENTS}") == b"values"


def test_a_job_without_logged_values_has_no_event_files(server: Server) -> None:
    job_id = server.submit()
    with server.new_context() as fl_ctx:
        assert EVENT_FILES_COMPONENT not in server.manager.list_components(job_id, fl_ctx)


def test_the_log_that_a_site_is_sending_is_readable(server: Server, job_id: str, tmp_path: Path) -> None:
    with server.new_context() as fl_ctx:
        assert server.manager.get_client_data(job_id, "site-1", "LOG_log.txt", fl_ctx) == b"epoch 1\n"
        assert server.manager.get_client_data(job_id, "site-2", "LOG_log.txt", fl_ctx) is None
    assert downloaded(server, job_id, "LOG_log.txt_site-1", tmp_path / "d").read_text() == "epoch 1\n"


def test_the_log_of_an_ended_stream_moves_to_the_job_store(
    server: Server, job_id: str, tmp_path: Path
) -> None:
    sent = server.folder / SITE_LOGS_FOLDER / job_id / "site-1" / "log.txt"
    with server.new_context() as fl_ctx:
        server.manager.set_client_data(job_id, str(sent), "site-1", "LOG_log.txt", fl_ctx)
        assert server.manager.get_client_data(job_id, "site-1", "LOG_log.txt", fl_ctx) == b"epoch 1\n"
    assert list((server.folder / SITE_LOGS_FOLDER).iterdir()) == []
    assert downloaded(server, job_id, "LOG_log.txt_site-1", tmp_path / "d").read_text() == "epoch 1\n"


def test_only_the_end_of_a_long_log_is_read(
    server: Server, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_app.survival.job_files.MAX_LOG_BYTES", 3)
    with server.new_context() as fl_ctx:
        assert server.manager.get_client_data(job_id, "site-1", "LOG_log.txt", fl_ctx) == b" 1\n"


def test_logs_and_event_files_are_deleted_with_their_job(server: Server, job_id: str) -> None:
    with server.new_context() as fl_ctx:
        server.manager.delete(job_id, fl_ctx)
    for folder in (SITE_LOGS_FOLDER, ANALYTICS_FOLDER):
        assert list((server.folder / folder).iterdir()) == []
