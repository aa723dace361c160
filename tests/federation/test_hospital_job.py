"""The job `hospital` in a federation with other names and fewer sites than the demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deploy.demo.measurements import logged_values
from fl_app.jobs.hospital.job import HospitalParameters
from tests.federation.federation import Federation, set_options
from tests.unit.hospital.averaging import average

pytestmark = pytest.mark.federation

SITES = 2
PARAMETERS = HospitalParameters(rounds=3, local_epochs=1, hidden=7, seed=5)


def test_two_runs_give_the_reference_model_and_log_every_round(
    new_federation: Callable[..., Federation], tmp_path: Path
) -> None:
    federation = new_federation(name="clinics", sites=SITES)
    federation.up()
    torch.set_num_threads(1)
    expected = average(PARAMETERS, hospitals=SITES)

    for run in ("first", "second"):
        job_id = _submit(federation)
        fetched = federation.flarefleet("fetch", job_id, str(tmp_path / run))
        assert fetched.returncode == 0, fetched.stderr

        stored = torch.load(tmp_path / run / "model" / "FL_global_model.pt", weights_only=True)["model"]
        for name, value in expected.weights.items():
            torch.testing.assert_close(stored[name], value, rtol=0, atol=1e-5)
        for index, site in enumerate(federation.project.sites):
            events = tmp_path / run / "tb_events"
            own = logged_values(events, site.name, "accuracy_after_training", PARAMETERS.rounds)
            assert list(own) == pytest.approx(expected.own_accuracy[index])
            for tag in ("accuracy", "loss", "own_accuracy", "train_loss"):
                assert len(logged_values(events, site.name, tag, PARAMETERS.rounds)) == PARAMETERS.rounds


def _submit(federation: Federation) -> str:
    options = set_options(PARAMETERS.model_dump(exclude_none=True))
    submitted = federation.flarefleet("submit", "hospital", *options)
    assert submitted.returncode == 0, submitted.stderr
    return submitted.stdout.strip()
