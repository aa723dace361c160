"""The matrix as a table in Markdown, with the machine, the date and the command."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.chaos.cell import GOAL_SECONDS, Cell


def heading(command: str) -> str:
    """Return where, when and how the cells were measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {machine}: `{command}`"


def markdown(cells: Iterable[Cell], command: str) -> str:
    """Return the table. A time above the goal is marked."""
    found = list(cells)
    survived = {_key(one) for one in found if one.survives}
    stock = {_key(one): one for one in found if not one.survives}
    lines = [
        f"{heading(command)}, load average {_load(found)}",
        "",
        "| runtime | kill | result | next training after | ended after | trained again | stock NVFlare |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        if one.survives:
            lines.append(_row(one, stock.get(_key(one))))
        elif _key(one) not in survived:
            lines.append(f"| {one.runtime} | {one.kill} | not run | | | | {_stock(one)} |")
    return "\n".join(lines) + "\n"


def _load(cells: list[Cell]) -> str:
    found = [one.load for one in cells]
    return f"{min(found, default=0):.0f} to {max(found, default=0):.0f}"


def write(cells: Iterable[Cell], command: str, folder: Path) -> None:
    """Write matrix.md and matrix.json."""
    found = list(cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matrix.md").write_text(markdown(found, command), encoding="utf-8")
    document = {"measured": heading(command), "cells": [one.document() for one in found]}
    (folder / "matrix.json").write_text(json.dumps(document, indent=2), encoding="utf-8")


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.runtime, cell.kill, cell.client


def _row(cell: Cell, stock: Cell | None) -> str:
    result = "completed, equal" if cell.is_survived else f"**failed**: {'; '.join(cell.failed)}"
    kill = cell.kill if cell.client == "numpy" else f"{cell.kill} ({cell.client})"
    return (
        f"| {cell.runtime} | {kill} | {_one_line(result)} | {_next(cell)} | {_seconds(cell.end)} "
        f"| {cell.trained_again} | {_stock(stock) if stock else ''} |"
    )


def _next(cell: Cell) -> str:
    if cell.next_training is None:
        return "never"
    text = _seconds(cell.next_training)
    if cell.next_training > cell.fault_seconds > 0:
        text += f" ({cell.next_training - cell.fault_seconds:.1f} s after its end)"
    return text if cell.within_goal else f"**{text}**, above {GOAL_SECONDS:.0f} s"


def _stock(cell: Cell) -> str:
    if cell.is_survived:
        return f"completed, equal; next training after {_next(cell)}"
    trains = "no training" if cell.next_training is None else f"next training after {_next(cell)}"
    return _one_line(f"{cell.status or cell.failed[0]} after {_seconds(cell.end)}, {trains}")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
