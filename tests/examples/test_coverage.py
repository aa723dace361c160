"""Every recipe that NVFlare lists has an example here, or needs a package that this environment lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from example_jobs.recipes import EXAMPLES

from tests.examples.coverage import COVERED_BY, NOT_RUN, WITH_PACKAGES

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "dev.txt"


def test_every_recipe_of_nvflare_has_an_example_or_a_reason() -> None:
    program = str(Path(sys.executable).with_name("nvflare"))
    listed = subprocess.run(
        [program, "--format", "json", "recipe", "list"], capture_output=True, text=True, check=True
    )
    recipes = {recipe["name"] for recipe in json.loads(listed.stdout)["data"]}

    assert recipes - COVERED_BY.keys() - NOT_RUN.keys() == set()
    assert COVERED_BY.keys() <= recipes
    assert set(COVERED_BY.values()) <= {*EXAMPLES, *WITH_PACKAGES}


@pytest.mark.parametrize("distribution", sorted({*NOT_RUN.values()}))
def test_what_does_not_run_is_not_among_the_pinned_requirements(distribution: str) -> None:
    pinned = REQUIREMENTS.read_text(encoding="utf-8")
    assert f"\n{distribution}==" not in pinned, f"{distribution} is pinned: write an example for it"
    assert "\nnvflare==" in pinned
