"""Examples in an environment of their own: Lightning, XGBoost, private set intersection, encryption."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.session import AdminKit, open_session
from fl_app.contract import ENV_FORK_JOBS
from tests.examples.coverage import WITH_PACKAGES
from tests.examples.environment import create
from tests.examples.running import SITES, Outcome, add_site_results, await_ends, submit
from tests.examples.stock import ENCRYPTION
from tests.examples.test_examples import assert_ended_as
from tests.federation.federation import ADMIN, running
from tests.federation.other_environment import ROOT, OtherEnvironment

pytestmark = [pytest.mark.federation, pytest.mark.extended]


PROJECT = {"sites": len(SITES), "name": "with-packages", "builders": ENCRYPTION}


class ExamplesFederation(OtherEnvironment):
    """A federation in .venv-examples."""

    def python(self) -> Path:
        return create()

    def provision(self) -> None:
        """Provision in this environment: HEBuilder needs tenseal."""
        super().run("provision")
        super().provision()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """Run the examples side by side on one federation."""
    folder, work = tmp_path_factory.mktemp("federation"), tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(ENV_FORK_JOBS, "false")  # a prepared process would import torch for one job
        with running(folder, ExamplesFederation, **PROJECT) as federation:
            export = [create(), "-m", "tests.examples.running", work, *WITH_PACKAGES]
            subprocess.run(export, cwd=ROOT, check=True)
            with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
                ids = submit(session, {name: work / name for name in WITH_PACKAGES})
                ended = await_ends(session, ids, work)
            add_site_results(ended, {site: federation.run_folder.workspace(site) for site in SITES})
            yield ended


@pytest.mark.parametrize("example", WITH_PACKAGES)
def test_an_example_ends_as_on_stock_nvflare(example: str, outcomes: dict[str, Outcome]) -> None:
    assert_ended_as(example, outcomes[example])
