"""The data sets of the job `hospital`, by the names that its parameter takes."""

from __future__ import annotations

from collections.abc import Callable

from fl_app.jobs.hospital.data import Cohort, divide
from fl_app.jobs.hospital.digits import divide_digits

DIVISIONS: dict[str, Callable[[int, int], Cohort]] = {"breast_cancer": divide, "digits": divide_digits}
"""How each is divided: over so many hospitals, by this seed."""
