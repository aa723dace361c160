"""Compare the job `hospital` on a cluster with the same training without a federation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from deploy.demo.measurements import logged_values
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import Federation
from tests.unit.hospital.averaging import average


def assert_equals_local_training(
    federation: Federation, job_id: str, parameters: HospitalParameters, results: Path
) -> None:
    """Check that weights and accuracies of a finished job equal those of training without a federation."""
    federation.run("fetch", job_id, str(results))
    torch.set_num_threads(1)
    expected = average(parameters, hospitals=len(federation.project.sites))
    stored = torch.load(results / "model" / "FL_global_model.pt", weights_only=True)["model"]
    for name, value in expected.weights.items():
        torch.testing.assert_close(stored[name], value, rtol=0, atol=1e-5)
    for index, site in enumerate(federation.project.sites):
        own = logged_values(results / "tb_events", site.name, "accuracy_after_training", parameters.rounds)
        assert list(own) == pytest.approx(expected.own_accuracy[index])
