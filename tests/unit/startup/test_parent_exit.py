"""Why NVFlare ended, by what it wrote into its log of errors in this start: a lost answer is tried again."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fl_app.startup.__main__ import REGISTRATION_TRIES, _starts_again
from fl_app.startup.error_log import ErrorLog
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.parent import _judge
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
    ("written", "code", "words"),
    [
        (LOST, Exit.NO_ANSWER, "the server does not answer the registration of this site"),
        (REJECTED + LOST, Exit.REFUSED, "refuses the registration of this site: no project another"),
        (OTHER, Exit.NVFLARE, r"NVFlare ended by itself \(code 101\): .*no such file"),
        ("", Exit.NVFLARE, "it logged no error"),
    ],
    ids=["no answer", "refused", "another error", "no error"],
)
def test_each_end_has_its_code_and_its_words(tmp_path: Path, written: str, code: Exit, words: str) -> None:
    log = tmp_path / "error_log.txt"
    log.write_text(REJECTED + LOST)  # of an earlier start
    errors = ErrorLog(tmp_path)
    with log.open("a") as file:
        file.write(written)

    with pytest.raises(StartupError, match=words) as ended:
        _judge(101, tmp_path, errors)

    assert ended.value.exit_code is code


def test_a_registration_without_an_answer_is_tried_again_and_not_for_ever(tmp_path: Path) -> None:
    settings, tries = Settings.read({"FLARE_WORKSPACE": str(tmp_path)}), itertools.count(1)

    starts = [_starts_again(settings, Exit.NO_ANSWER, tries) for _ in range(REGISTRATION_TRIES)]

    assert starts == [True] * (REGISTRATION_TRIES - 1) + [False]
    assert not _starts_again(settings, Exit.REFUSED, itertools.count(1))
