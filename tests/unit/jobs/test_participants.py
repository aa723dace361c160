"""The sites of a job, and the errors if a site or an extra of its image is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import Failed, InputError
from deploy.project import load_project
from deploy.session.submission import (
    JobSites,
    choose_sites,
    extras_of_images,
    refuse_missing_extras,
    submit,
)
from fl_app.jobs.export import ExportReply
from fl_app.jobs.registry import find
from tests.federation.federation import write_project

ALL_SITES = ("site-1", "site-2", "site-3")


@pytest.mark.parametrize(
    ("federation", "wanted", "chosen"),
    [
        (ALL_SITES, (), JobSites(ALL_SITES, chosen=False)),
        (None, (), JobSites(ALL_SITES, chosen=False)),
        (ALL_SITES, ("site-3",), JobSites(("site-3",), chosen=True)),
        (ALL_SITES, ("site-1", "site-1"), JobSites(("site-1",), chosen=True)),
    ],
)
def test_the_wanted_sites_take_part_or_all_registered_ones(federation, wanted, chosen) -> None:
    assert choose_sites(ALL_SITES, federation, wanted) == chosen


def test_a_missing_site_is_reported_with_the_command_to_go_without_it() -> None:
    with pytest.raises(Failed) as error:
        choose_sites(("site-1", "site-3"), ALL_SITES, ())
    assert "needs 3 sites, and 2 of them are registered; missing: site-2" in str(error.value)
    assert "--site site-1 --site site-3" in str(error.value)


def test_a_missing_site_is_a_question_for_its_operator_if_there_is_only_a_kit() -> None:
    with pytest.raises(Failed) as error:
        choose_sites(("site-1",), None, ("site-1", "site-2"))
    assert (
        "missing: site-2. Compare the names with: flarefleet status, ask the operator of site-2, or"
        in str(error.value)
    )
    assert "Show the reason" not in str(error.value)


def test_a_job_with_a_quorum_is_submitted_for_a_missing_site_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = choose_sites(("site-1", "site-3"), ALL_SITES, (), has_quorum=True)
    assert found == JobSites(ALL_SITES, chosen=False)
    assert "not registered: site-2" in capsys.readouterr().err
    with pytest.raises(Failed, match="needs at least 3 sites, and 2 are registered"):
        submit(None, ExportReply(folder=Path("/nowhere"), min_clients=3), ("site-1", "site-3"))  # type: ignore[arg-type]


def test_a_site_of_another_federation_is_rejected() -> None:
    with pytest.raises(
        InputError, match="--site site-9: not in this federation, which has site-1, site-2, site-3"
    ):
        choose_sites(ALL_SITES, ALL_SITES, ("site-1", "site-9"))


@pytest.mark.parametrize("federation", [ALL_SITES, None])
def test_a_federation_without_registered_sites_is_an_error(federation: tuple[str, ...] | None) -> None:
    with pytest.raises(Failed, match="registered"):
        choose_sites((), federation, ())


def test_a_job_that_needs_more_sites_than_are_registered_is_not_submitted() -> None:
    exported = ExportReply(folder=Path("/nowhere"), min_clients=4)
    with pytest.raises(Failed, match="needs at least 4 sites, and 3 are registered: site-1, site-2, site-3"):
        submit(None, exported, ALL_SITES)  # type: ignore[arg-type] - the session is not used


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
@pytest.mark.parametrize(
    ("job", "extras", "message"),
    [
        ("flower-digits", [], r"write extras: \[flower\] "),
        ("fedprox-vla", [], r"write variant: gpu and extras: \[vla\] "),
        ("fedprox-vla", ["flower"], r"write variant: gpu and extras: \[vla\] "),
        ("flower-digits", ["vla"], r"write extras: \[flower\] "),
        ("flower-digits", ["he"], r"write extras: \[flower, he\] "),
        ("fedprox-vla", ["he"], r"write variant: gpu and extras: \[vla\] .*, remove HEBuilder from builders"),
    ],
)
def test_images_without_a_required_extra_are_rejected_with_the_remedy(
    tmp_path: Path, job: str, extras: list[str], message: str, runtime: str
) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=extras))
    with pytest.raises(InputError, match=rf"{message}.* up --runtime {runtime}"):
        refuse_missing_extras(find(job), project, runtime)


@pytest.mark.parametrize(
    ("job", "extras", "runtime"),
    [
        ("flower-digits", ["flower"], "docker"),
        ("fedprox-vla", ["vla"], "docker"),
        ("fedprox-vla", [], "process"),
        ("flower-digits", [], "process"),
        ("flower-digits", [], None),
        ("hospital", [], "docker"),
    ],
)
def test_a_job_is_accepted_if_the_images_have_its_extras(
    tmp_path: Path, job: str, extras: list[str], runtime: str | None
) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=extras))
    refuse_missing_extras(find(job), project, runtime)


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_extras_of_the_images_need_not_be_installed_locally(tmp_path: Path, runtime: str) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=["vla"]))
    job = replace(find("fedprox-vla"), needs={"lerobot_of_nowhere": "flarefleet[vla]"})

    assert job.missing(extras_of_images(project, runtime)) == ""
    assert "pip install 'lerobot[smolvla]==" in job.missing(extras_of_images(project, "process"))
    of_the_recipe = replace(job, needs={"torch_of_nowhere": "flarefleet[jobs]"})
    assert "'torch<3,>=2.6'" in of_the_recipe.missing(extras_of_images(project, runtime))
