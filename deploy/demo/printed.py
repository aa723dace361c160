"""The report as a terminal shows it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.demo.charts import percent
from deploy.demo.report import Report, Result, difference


def printed(report: Report) -> RenderableType:
    """The results as a table, and where everything lies."""
    table = Table(
        title=f"{report.test_patients} test patients, {report.test_malignant} of them malignant",
        title_justify="left",
        title_style="",
    )
    table.add_column("model")
    for heading in ("patients", "accuracy", "malignant missed", "false alarms"):
        table.add_column(heading, justify="right")
    for hospital in report.hospitals:
        _add(table, f"{hospital.name} alone", hospital.patients, hospital.alone)
    table.add_section()
    everyone = sum(hospital.patients for hospital in report.hospitals)
    _add(table, "federated", everyone, report.federated, style="bold")
    _add(table, "central", everyone, report.central)
    alone = difference(report.federated.accuracy, report.mean_alone)
    central = difference(report.federated.accuracy, report.central.accuracy)
    words = f"Federated: {alone} the mean of the hospitals alone, {central} all patients in one place."
    return Group(table, Text(words))


def _add(table: Table, name: str, patients: int, result: Result, style: str = "") -> None:
    table.add_row(
        name,
        str(patients),
        percent(result.accuracy),
        str(result.missed),
        str(result.false_alarms),
        style=style,
    )


def print_places(report: Report, console: Console) -> None:
    """Say where the page, the model, the TensorBoard files and the logs lie, and how to look at them."""
    folder = Path(report.files.folder)
    places = {
        "page": folder / "report.html",
        "model": folder / report.files.model,
        "TensorBoard": f"tensorboard --logdir {folder / report.files.tensorboard}",
        "logs": folder / report.files.logs,
    }
    for name, place in places.items():
        console.print(f"{name + ':':<13}{place}", markup=False)
