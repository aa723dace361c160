"""NVFlare's admin console for commands from a pipe: exit status 1 if one of them failed.

`python -m deploy.session.console_program -m KIT -s fed_admin.json`, as `nvflare.fuel.hci.tools.admin`, which
exits with 0 in any case.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from nvflare.fuel.hci.client.api import ResultKey
from nvflare.fuel.hci.client.api_status import APIStatus
from nvflare.fuel.hci.client.cli import AdminClient
from nvflare.fuel.hci.proto import MetaKey, MetaStatusValue, ProtoKey
from nvflare.fuel.hci.tools import admin

_SUCCEEDED = (MetaStatusValue.OK, MetaStatusValue.NO_JOBS, MetaStatusValue.NO_JOB_COMPONENTS)
"""Statuses of an answer that is no error; a list may be empty."""


class PipedConsole(AdminClient):
    """The console; it collects the commands that failed."""

    failed: ClassVar[list[str]] = []
    has_session: ClassVar[bool] = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._answer: Mapping[str, Any] = {}

    def cmdloop(self, intro: Any = None) -> None:
        """Read commands; NVFlare calls this after the login."""
        type(self).has_session = True
        super().cmdloop(intro)

    def default(self, line: str) -> Any:
        """Run a command of the server, or of the transfer of files."""
        self._answer = {}
        stop = super().default(line)
        if not succeeded(self._answer):
            self.failed.append(line)
        return stop

    def print_resp(self, resp: dict[str, Any]) -> None:
        """Print the answer to a command."""
        self._answer = resp
        super().print_resp(resp)


def succeeded(answer: Mapping[str, Any]) -> bool:
    """Return whether the answer to a command, {} if it was not sent, is no error."""
    status = (answer.get(ResultKey.META) or {}).get(MetaKey.STATUS, MetaStatusValue.OK)
    items = answer.get(ProtoKey.DATA) or ()
    has_error = any(isinstance(item, dict) and item.get(ProtoKey.TYPE) == ProtoKey.ERROR for item in items)
    return answer.get(ResultKey.STATUS) == APIStatus.SUCCESS and status in _SUCCEEDED and not has_error


def main() -> int:
    """Run the console until the end of its input, and return the exit status."""
    admin.AdminClient = PipedConsole
    admin.main()
    for command in PipedConsole.failed:
        print(f"The command failed: {command}", file=sys.stderr)
    return int(bool(PipedConsole.failed) or not PipedConsole.has_session)


if __name__ == "__main__":
    sys.exit(main())
