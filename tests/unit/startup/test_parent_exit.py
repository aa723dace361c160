"""The exit code of a parent after NVFlare exited, and whether it is started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.startup.parent import _check_exit
from fl_app.startup.restarts import START_ATTEMPTS, Restarts

LOST = """\
2026-11-28 18:11:33,316 - MPM - ERROR - Execute exception: RuntimeError: Login failed.
2026-11-28 18:11:33,318 - MPM - ERROR - Traceback (most recent call last):
  File "/opt/flare/lib/python3.11/site-packages/nvflare/fuel/f3/mpm.py", line 153, in run
    rc = main_func(**kwargs)
RuntimeError: Login failed.
"""
REJECTED = "2026-11-28 18:11:33,300 - Authenticator - ERROR - registration rejected: no project another\n"
FORGOTTEN = REJECTED.replace("no project another", "no registration session")
DUPLICATE = REJECTED.replace("no project another", "register_client unauthenticated")
OTHER = "2026-11-28 18:11:33,316 - MPM - ERROR - Execute exception: ValueError: no such file\n"


@pytest.mark.parametrize(
    ("written", "code", "message"),
    [
        (LOST, Exit.NO_ANSWER, "the server did not answer the registration of this site"),
        (REJECTED + LOST, Exit.REFUSED, "refused the registration of this site: no project another"),
        (FORGOTTEN + OTHER, Exit.NO_ANSWER, "the server did not answer the registration of this site"),
        (DUPLICATE + LOST, Exit.DUPLICATE, "another process uses this kit"),
        (OTHER, Exit.NVFLARE, r"NVFlare exited by itself \(code 101\): .*no such file"),
        ("", Exit.NVFLARE, "it logged no error"),
    ],
    ids=["no answer", "refused", "server started again", "duplicate", "another error", "no error"],
)
def test_the_error_log_of_this_start_decides_the_exit_code(
    tmp_path: Path, written: str, code: Exit, message: str
) -> None:
    previous = REJECTED + LOST
    (tmp_path / "error_log.txt").write_text(previous + written)

    with pytest.raises(StartupError, match=message) as raised:
        _check_exit(101, tmp_path, len(previous))

    assert raised.value.exit_code is code


def test_a_parent_that_had_been_ready_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as raised:
        _check_exit(0, tmp_path, 0, was_ready=True)

    assert raised.value.exit_code is Exit.NVFLARE_ENDED


@pytest.mark.parametrize("code", [137, 139, 128 + 15, Exit.NVFLARE_ENDED, 0])
def test_a_parent_that_died_is_started_again_at_once_and_then_less_often(tmp_path: Path, code: int) -> None:
    restarts = Restarts(tmp_path)

    delays = [restarts.delay_after(code, ran=3.0) for _ in range(8)]

    assert delays == [0, 1, 2, 4, 8, 16, 30, 30]
    assert restarts.delay_after(code, ran=61.0) == 0
    assert restarts.count == 9


def test_the_last_exit_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    restarts = Restarts(tmp_path, count=1, last="exited")
    restarts.delay_after(128 + 9, ran=1.0)
    restarts.delay_after(128 + 11, ran=1.0)

    assert (restarts.count, restarts.last) == (3, "was killed by signal 11")
    assert capsys.readouterr().err.splitlines() == [
        "flarefleet: the parent was killed by signal 9; starting it again",
        "flarefleet: the parent was killed by signal 11; starting it again in 1 s",
    ]


NEEDS_A_PERSON = [
    *(Exit.SETTINGS, Exit.KIT, Exit.VERSION, Exit.KEY, Exit.CERTIFICATE, Exit.WORKSPACE, Exit.CONFIGURATION),
    *(Exit.SERVER_CERTIFICATE, Exit.REFUSED, Exit.INCOMPATIBLE),
]


@pytest.mark.parametrize("was_running", [False, True], ids=["first start", "later start"])
@pytest.mark.parametrize("code", NEEDS_A_PERSON)
def test_a_reason_that_needs_a_person_is_final(tmp_path: Path, code: Exit, was_running: bool) -> None:
    restarts = Restarts(tmp_path)
    if was_running:
        restarts.delay_after(137, ran=3.0)

    assert restarts.delay_after(code, ran=1.0) is None


@pytest.mark.parametrize(
    "code", [Exit.SPACE, Exit.IN_USE, Exit.PORT, Exit.SERVER_NAME, Exit.SERVER_UNREACHABLE, Exit.NVFLARE]
)
def test_a_reason_that_may_pass_is_final_for_a_first_start_only(tmp_path: Path, code: Exit) -> None:
    assert Restarts(tmp_path).delay_after(code, ran=1.0) is None

    restarts = Restarts(tmp_path)
    restarts.delay_after(137, ran=3.0)

    assert all(restarts.delay_after(code, ran=1.0) is not None for _ in range(10))
    assert Restarts(tmp_path, count=1).delay_after(code, ran=1.0) == 0, "the runtime restarted it"


@pytest.mark.parametrize("code", [Exit.NO_ANSWER, 101], ids=["no answer", "NVFlare's own code"])
def test_a_first_registration_is_tried_a_limited_number_of_times(tmp_path: Path, code: int) -> None:
    restarts = Restarts(tmp_path)

    delays = [restarts.delay_after(code, ran=1.0) for _ in range(START_ATTEMPTS)]

    assert delays == [0, 1, 2, 4, None]
    assert restarts.count == 0, "it never ran"


def test_an_administrators_request_is_honoured_once(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, is_enabled=False)
    (tmp_path / "restart.fl").touch()

    assert restarts.delay_after(0, ran=1.0) == 0
    assert restarts.delay_after(0, ran=1.0) is None
    assert restarts.count == 0

    (tmp_path / "shutdown.fl").touch()
    assert Restarts(tmp_path).delay_after(0, ran=1.0) is None


def test_a_parent_is_not_started_again_if_that_is_disabled(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, is_enabled=False)

    assert [restarts.delay_after(code, ran=1.0) for code in (137, 0, 101)] == [None, None, None]
    assert restarts.delay_after(Exit.NO_ANSWER, ran=1.0) == 0, "a registration is tried several times"


def test_a_second_process_with_a_kit_gives_up_after_the_second_refusal(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path)
    assert not restarts.waits_for_other

    assert restarts.delay_after(Exit.DUPLICATE, ran=3.0) == 0
    assert restarts.waits_for_other
    assert restarts.delay_after(Exit.DUPLICATE, ran=40.0) is None


def test_a_process_that_lost_its_registration_again_later_waits_again(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path)

    delays = [restarts.delay_after(code, ran=100.0) for code in (Exit.DUPLICATE, 137, Exit.DUPLICATE)]

    assert delays == [0, 0, 0]
