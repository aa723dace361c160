"""NVFlare's audit log on a full volume."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nvflare.fuel.sec.audit import AuditService

from fl_app.nvflare_internals import audit_log
from fl_app.nvflare_internals.audit_log import wait_for_space


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "audit.log"
    AuditService.initialize(str(file))
    try:
        yield file
    finally:
        AuditService.close()


class Full:
    """A file on a volume that has space after two attempts."""

    def __init__(self, file: object) -> None:
        self.file, self.failures = file, [OSError(28, "No space left on device")] * 2

    def write(self, text: str) -> None:
        self.file.write(text)  # type: ignore[attr-defined]

    def flush(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.file.flush()  # type: ignore[attr-defined]

    def close(self) -> None:
        self.file.close()  # type: ignore[attr-defined]


def test_a_line_of_the_audit_log_waits_for_space(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "RETRY_SECONDS", 0.01)
    auditor = AuditService.get_auditor()
    auditor.audit_file = Full(auditor.audit_file)
    with pytest.raises(OSError, match="No space"):
        AuditService.add_job_event("j1", msg="before")

    wait_for_space()
    AuditService.add_job_event("j1", msg="after")

    assert [line.rpartition("]")[2] for line in log.read_text().splitlines()] == ["before", "after"]


def test_another_error_of_the_audit_log_is_not_hidden(log: Path) -> None:
    auditor = AuditService.get_auditor()
    auditor.audit_file = Full(auditor.audit_file)
    auditor.audit_file.failures = [OSError(5, "Input/output error")]

    wait_for_space()

    with pytest.raises(OSError, match="Input/output"):
        AuditService.add_job_event("j1")
