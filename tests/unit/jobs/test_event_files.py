"""Event files that an administrator's session downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.session.event_files import LATEST_JOBS, EventFileDownload
from deploy.session.job import COMPLETED, RUNNING, Job
from deploy.session.requests import PermissionDenied
from fl_app.contract import EVENT_FILES_COMPONENT


class Session:
    """A session with jobs, each with one event file of one site, and the log of a site."""

    def __init__(self, folder: Path, *ids: str) -> None:
        self._folder = folder
        self.statuses = dict.fromkeys(ids, RUNNING)
        self.downloaded: list[str] = []
        self.denied: set[str] = set()

    def jobs(self) -> tuple[Job, ...]:
        return tuple(map(self.job, self.statuses))

    def job(self, job_id: str) -> Job:
        return Job.of({"job_id": job_id, "name": "probe", "status": self.statuses[job_id]})

    def components(self, job_id: str, prefix: str) -> dict[str, Path]:
        if job_id in self.denied:
            raise PermissionDenied("the server denied the request")
        self.downloaded.append(job_id)
        folder = self._folder / f"transfer-{len(self.downloaded)}"
        (folder / "LOG_tb_events" / "north").mkdir(parents=True)
        (folder / "LOG_tb_events" / "north" / "events").write_text("values " * len(self.downloaded))
        (folder / "LOG_log.txt_north").write_text("epoch 1")
        return {
            EVENT_FILES_COMPONENT: folder / "LOG_tb_events",
            "LOG_log.txt_north": folder / "LOG_log.txt_north",
        }


@pytest.fixture
def session(tmp_path: Path) -> Any:
    return Session(tmp_path, "28b4b267-1", "2853de48-2")


def test_each_update_replaces_the_event_files_of_running_jobs(session: Any, tmp_path: Path) -> None:
    download = EventFileDownload(session, tmp_path / "mirror")
    download.update()
    folder = download.update()

    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert found == {"probe-28b4b267/north/events", "probe-2853de48/north/events"}
    assert (folder / "probe-2853de48" / "north" / "events").read_text() == "values " * 4
    assert not list(tmp_path.glob("transfer-*")), "the logs that came along are deleted"


def test_a_job_that_has_ended_is_downloaded_once_more(session: Any, tmp_path: Path) -> None:
    download = EventFileDownload(session, tmp_path / "mirror", ["28b4b267-1"])
    download.update()
    session.statuses["28b4b267-1"] = COMPLETED
    for _ in range(3):
        download.update()
    assert session.downloaded == ["28b4b267-1"] * 2


def test_only_the_latest_jobs_are_downloaded(tmp_path: Path) -> None:
    session: Any = Session(tmp_path, *(f"{number:08}" for number in range(LATEST_JOBS + 2)))
    EventFileDownload(session, tmp_path / "mirror").update()
    assert session.downloaded[0] == "00000002"
    assert len(session.downloaded) == LATEST_JOBS


def test_jobs_of_others_are_left_out_unless_they_are_named(session: Any, tmp_path: Path) -> None:
    session.denied = {"28b4b267-1"}

    EventFileDownload(session, tmp_path / "mirror").update()

    assert session.downloaded == ["2853de48-2"]
    with pytest.raises(PermissionDenied):
        EventFileDownload(session, tmp_path / "named", ["28b4b267-1"]).update()
