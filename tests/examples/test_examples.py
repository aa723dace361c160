"""NVFlare's examples end on the kit's federation as on stock NVFlare, with the same results.

stock.json holds how they end on stock NVFlare: `python -m tests.examples.stock` measures it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from example_jobs.recipes import EXAMPLES

from deploy.session import AdminKit, open_session
from fl_app.contract import NVFLARE_VERSION
from tests.examples.coverage import WITH_PACKAGES
from tests.examples.running import Outcome, await_ends, submit, write
from tests.examples.stock import FILE
from tests.examples.submission import by_flarefleet, by_nvflare, by_recipe, job_id, start
from tests.federation.federation import ADMIN, Federation, running

pytestmark = [pytest.mark.federation, pytest.mark.extended]

STOCK = json.loads(FILE.read_text(encoding="utf-8"))
RANDOM = ("hello-numpy-evaluated", "hello-numpy-evaluation", "hello-cyclic")
"""Examples with other numbers in each run: NVFlare's NPValidator draws them, or the site that registers first
is first in the cycle."""
UNORDERED = ("sklearn-kmeans", "sklearn-svm")
"""Examples whose rows stand in the order in which the sites answered, or in a random one."""
WAYS = {"flarefleet submit": by_flarefleet, "nvflare job submit": by_nvflare, "recipe.execute": by_recipe}
SUBMITTED_IN_EVERY_WAY = "hello-numpy"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """Run all examples side by side on one federation."""
    folder, work = tmp_path_factory.mktemp("federation"), tmp_path_factory.mktemp("examples")
    with running(folder, Federation, sites=2, name="examples") as federation:
        jobs = write(EXAMPLES, work)
        commands = {
            way: start(command(federation, SUBMITTED_IN_EVERY_WAY, work), work.parent)
            for way, command in WAYS.items()
        }
        with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
            ids = submit(session, jobs) | {way: job_id(process) for way, process in commands.items()}
            yield await_ends(session, ids, work)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_ends_as_on_stock_nvflare(example: str, outcomes: dict[str, Outcome]) -> None:
    assert_ended_as(example, outcomes[example])


@pytest.mark.parametrize("way", WAYS)
def test_a_job_ends_alike_in_whichever_way_it_is_submitted(way: str, outcomes: dict[str, Outcome]) -> None:
    assert_ended_as(SUBMITTED_IN_EVERY_WAY, outcomes[way])


def test_the_measurements_are_of_the_supported_nvflare_and_of_every_example() -> None:
    assert STOCK["nvflare"] == NVFLARE_VERSION
    assert STOCK["examples"].keys() == {*EXAMPLES, *WITH_PACKAGES}


def assert_ended_as(example: str, outcome: Outcome) -> None:
    stock = STOCK["examples"][example]
    assert outcome.status == stock["status"], outcome.reasons
    expected, found = stock["results"], outcome.results
    if example in UNORDERED:
        expected, found = sorted_rows(expected), sorted_rows(found)
    assert_close(expected, found, values=example not in RANDOM)


def sorted_rows(document: Any) -> Any:
    """Return a document with its lists sorted."""
    if isinstance(document, Mapping):
        return {name: sorted_rows(value) for name, value in document.items()}
    return sorted(document) if isinstance(document, list) else document


def assert_close(stock: Any, kit: Any, values: bool) -> None:
    """Assert that two documents have the same structure and, with `values`, the same numbers."""
    if isinstance(stock, Mapping):
        assert stock.keys() == kit.keys()
        for name, value in stock.items():
            assert_close(value, kit[name], values)
    elif isinstance(stock, list):
        assert len(stock) == len(kit)
        for value, other in zip(stock, kit, strict=True):
            assert_close(value, other, values)
    elif isinstance(stock, float):
        assert not values or np.isclose(stock, kit, rtol=1e-3, atol=1e-3)
    else:
        assert stock == kit
