"""The steps that the demo prints, and the metrics that it reads from event files."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from deploy.checkout import DEMO_PROJECT
from deploy.demo.measurements import logged_values
from deploy.demo.report import difference
from deploy.demo.scenario import run_demo
from deploy.demo.steps import Steps
from deploy.errors import Failed, MachineError


def test_a_step_is_printed_as_one_line_with_its_duration() -> None:
    steps, printed = _steps()

    with steps.step("up", "a server [and] 4 hospitals"):
        pass

    assert re.fullmatch(r" +\d+\.\d s  up         a server \[and\] 4 hospitals\n", printed.getvalue())
    assert [step.name for step in steps.done] == ["up"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, Failed("no")])
def test_a_failed_step_is_printed_and_its_error_propagates(error: BaseException) -> None:
    steps, printed = _steps()

    with pytest.raises((KeyboardInterrupt, Failed)), steps.step("up", "a server"):
        raise error

    assert "a server: failed" in printed.getvalue()
    assert steps.done == []


def test_a_missing_package_ends_the_demo_before_it_starts_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_app.jobs.description.find_spec", lambda name: None)

    with pytest.raises(MachineError, match=r"the job hospital needs torch, .*: pip install .*torch"):
        run_demo(DEMO_PROJECT, tmp_path, [], None, Console(file=io.StringIO()))

    assert list(tmp_path.iterdir()) == []


def test_values_are_sorted_by_round(tmp_path: Path) -> None:
    _log(tmp_path / "north", "accuracy", {2: 0.75, 1: 0.5, 3: 0.875})
    _log(tmp_path / "south", "accuracy", {1: 0.25, 2: 0.25, 3: 0.25})

    assert logged_values(tmp_path, "north", "accuracy", rounds=3) == (0.5, 0.75, 0.875)


@pytest.mark.parametrize("tag", ["accuracy", "loss"])
def test_a_missing_round_is_an_error(tmp_path: Path, tag: str) -> None:
    _log(tmp_path / "north", "accuracy", {1: 0.5, 3: 0.875})

    with pytest.raises(Failed, match=f"north logged no {tag} in round .*2.*{tmp_path / 'north'}"):
        logged_values(tmp_path, "north", tag, rounds=3)


@pytest.mark.parametrize(
    ("accuracy", "other", "text"),
    [
        (0.9, 0.8, "10.0 points above"),
        (0.8, 0.9, "10.0 points below"),
        (0.9, 0.9, "equal to"),
        (0.90001, 0.9, "equal to"),
    ],
)
def test_a_difference_is_formatted_in_points(accuracy: float, other: float, text: str) -> None:
    assert difference(accuracy, other) == text


def _steps() -> tuple[Steps, io.StringIO]:
    printed = io.StringIO()
    return Steps(Console(file=printed, width=200)), printed


def _log(folder: Path, tag: str, values: dict[int, float]) -> None:
    writer = EventFileWriter(str(folder))
    for step, value in values.items():
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, summary=summary))
    writer.close()
