"""Downloads of large models take turns."""

from __future__ import annotations

import time

import pytest

from fl_app.exchange import turns
from fl_app.exchange.turns import Turn, Turns


def waited(turn: Turn) -> float:
    begin = time.monotonic()
    turn.wait()
    return time.monotonic() - begin


def test_two_downloads_go_on_at_full_speed_and_others_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONGEST_SECONDS", 0.3)
    shared = Turns()
    with shared.take("site-1") as one, shared.take("site-2") as two, shared.take("site-3") as three:
        assert waited(one) < 0.2
        assert waited(two) < 0.2
        assert 0.3 <= waited(three) < 1


def test_the_end_of_a_download_lets_the_next_one_go_on() -> None:
    shared = Turns()
    with shared.take("site-1") as one, shared.take("site-3") as three:
        with shared.take("site-2") as two:
            one.wait()
            two.wait()
            assert not shared.is_due(three)
        assert shared.is_due(three)


def test_a_download_that_stands_still_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "STALLED_SECONDS", 0.2)
    shared = Turns()
    with shared.take("site-1") as one, shared.take("site-2") as two, shared.take("site-3") as three:
        one.wait()
        two.wait()
        assert 0.1 < waited(three) < 2


def test_the_first_in_order_never_waits() -> None:
    shared = Turns()
    with shared.take("site-2") as two, shared.take("site-3") as three, shared.take("site-1") as one:
        two.wait()
        three.wait()
        assert shared.is_due(one)
