"""Print the report on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.demo.charts import percent
from deploy.demo.report import Report, Result, difference


def print_report(report: Report, console: Console) -> None:
    """Print the results as a table, and the paths of the page, the model, the event files and the logs."""
    console.print()
    console.print(_results(report))
    alone = difference(report.federated.accuracy, report.mean_alone)
    central = difference(report.federated.accuracy, report.central.accuracy)
    console.print(
        f"Federated: {alone} the mean of the hospitals alone, {central} central training on all patients.\n"
    )
    folder = Path(report.files.folder)
    paths = {
        "page": folder / "report.html",
        "model": folder / report.files.model,
        "TensorBoard": report.tensorboard_command,
        "logs": folder / report.files.logs,
    }
    for name, path in paths.items():
        console.print(f"{name + ':':<13}{path}", markup=False)


def _results(report: Report) -> Table:
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
    patients = sum(hospital.patients for hospital in report.hospitals)
    _add(table, "federated", patients, report.federated, style="bold")
    _add(table, "central", patients, report.central)
    return table


def _add(table: Table, name: str, patients: int, result: Result, style: str = "") -> None:
    cells = (str(patients), percent(result.accuracy), str(result.missed), str(result.false_alarms))
    table.add_row(name, *cells, style=style)
