"""The exit code of a parent after NVFlare exited, and the retries of its registration."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fl_app.startup.__main__ import REGISTRATION_ATTEMPTS, _should_restart
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.parent import _check_exit
from fl_app.startup.settings import Settings

LOST = """\
2026-11-28 18:11:33,316 - MPM - ERROR - Execute exception: RuntimeError: Login failed.
2026-11-28 18:11:33,318 - MPM - ERROR - Traceback (most recent call last):
  File "/opt/flare/lib/python3.11/site-packages/nvflare/fuel/f3/mpm.py", line 153, in run
    rc = main_func(**kwargs)
RuntimeError: Login failed.
"""
REJECTED = "2026-11-28 18:11:33,300 - Authenticator - ERROR - registration rejected: no project another\n"
OTHER = "2026-11-28 18:11:33,316 - MPM - ERROR - Execute exception: ValueError: no such file\n"


@pytest.mark.parametrize(
    ("written", "code", "message"),
    [
        (LOST, Exit.NO_ANSWER, "the server did not answer the registration of this site"),
        (REJECTED + LOST, Exit.REFUSED, "refused the registration of this site: no project another"),
        (OTHER, Exit.NVFLARE, r"NVFlare exited by itself \(code 101\): .*no such file"),
        ("", Exit.NVFLARE, "it logged no error"),
    ],
    ids=["no answer", "refused", "another error", "no error"],
)
def test_the_error_log_of_this_start_decides_the_exit_code(
    tmp_path: Path, written: str, code: Exit, message: str
) -> None:
    previous = REJECTED + LOST
    (tmp_path / "error_log.txt").write_text(previous + written)

    with pytest.raises(StartupError, match=message) as raised:
        _check_exit(101, tmp_path, len(previous))

    assert raised.value.exit_code is code


def test_a_registration_without_an_answer_is_retried_a_limited_number_of_times(tmp_path: Path) -> None:
    settings, attempts = Settings(workspace=tmp_path), itertools.count(1)

    restarts = [_should_restart(settings, Exit.NO_ANSWER, attempts) for _ in range(REGISTRATION_ATTEMPTS)]

    assert restarts == [True] * (REGISTRATION_ATTEMPTS - 1) + [False]
    assert not _should_restart(settings, Exit.REFUSED, itertools.count(1))
