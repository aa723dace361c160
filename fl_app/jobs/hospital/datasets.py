"""Data sets of the job `hospital`, by the values of its parameter `dataset`."""

from __future__ import annotations

from collections.abc import Callable

from fl_app.jobs.hospital.data import Cohort, divide
from fl_app.jobs.hospital.digits import divide_digits

DIVISIONS: dict[str, Callable[[int, int], Cohort]] = {"breast_cancer": divide, "digits": divide_digits}
"""Functions that divide a data set over a number of hospitals, by a seed."""
