"""The audit log of NVFlare on a full volume: a task that cannot write its line would end with an error."""

from __future__ import annotations

import errno
import logging
import time
from typing import Any, TextIO

from nvflare.fuel.sec.audit import AuditService

USES = {"nvflare.fuel.sec.audit:Auditor.audit_file": "wait for space before a line of the audit log"}

RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


def wait_for_space() -> None:
    """Let this process wait until a line of its audit log can be written, instead of ending its task."""
    auditor = AuditService.get_auditor()
    if auditor is not None and not isinstance(auditor.audit_file, RetryingFile):
        auditor.audit_file = RetryingFile(auditor.audit_file)


class RetryingFile:
    """A file whose `flush` waits while the volume is full. What was written before stays in its buffer."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def flush(self) -> None:
        """Write the buffer; wait for space if there is none."""
        while not self._is_flushed():
            time.sleep(RETRY_SECONDS)

    def _is_flushed(self) -> bool:
        try:
            self._file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            _log.warning("the audit log waits for disk space")
            return False
        return True
