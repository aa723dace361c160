"""Who takes part in a job, and what is said when somebody, or something in their images, is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import Failed, InputError
from deploy.project import load_project
from deploy.session.submission import (
    Participants,
    choose_participants,
    extras_of_images,
    refuse_missing_extras,
    submit,
)
from fl_app.jobs.export import ExportReply
from fl_app.jobs.registry import find
from tests.federation.federation import write_project

EVERYONE = ("site-1", "site-2", "site-3")


def test_a_job_goes_to_the_whole_federation_when_all_are_registered() -> None:
    assert choose_participants(EVERYONE, EVERYONE, ()) == Participants(EVERYONE, chosen=False)


def test_a_missing_site_is_named_with_the_way_to_go_without_it() -> None:
    with pytest.raises(Failed) as error:
        choose_participants(("site-1", "site-3"), EVERYONE, ())
    assert "needs 3 sites, and 2 of them are registered; missing: site-2" in str(error.value)
    assert "--site site-1 --site site-3" in str(error.value)


def test_a_job_may_go_to_some_sites_only() -> None:
    assert choose_participants(EVERYONE, EVERYONE, ("site-3",)) == Participants(("site-3",), chosen=True)


def test_a_site_named_twice_takes_part_once() -> None:
    assert choose_participants(EVERYONE, EVERYONE, ("site-1", "site-1")).names == ("site-1",)


def test_a_site_of_another_federation_is_refused() -> None:
    with pytest.raises(
        InputError, match="--site site-9: not in this federation, which has site-1, site-2, site-3"
    ):
        choose_participants(EVERYONE, EVERYONE, ("site-1", "site-9"))


def test_without_project_yml_all_registered_sites_take_part() -> None:
    assert choose_participants(EVERYONE, None, ()) == Participants(EVERYONE, chosen=False)


@pytest.mark.parametrize("federation", [EVERYONE, None])
def test_no_registered_site_at_all_is_an_error(federation: tuple[str, ...] | None) -> None:
    with pytest.raises(Failed, match="registered"):
        choose_participants((), federation, ())


def test_a_job_that_needs_more_sites_than_are_registered_is_never_submitted() -> None:
    exported = ExportReply(folder=Path("/nowhere"), min_clients=4)
    with pytest.raises(Failed, match="needs at least 4 sites, and 3 are registered: site-1, site-2, site-3"):
        submit(None, exported, EVERYONE)  # type: ignore[arg-type] - it may not come to the session


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
@pytest.mark.parametrize(
    ("job", "extras", "words"),
    [
        ("flower-digits", [], r"write extras: \[flower\] "),
        ("fedprox-vla", [], r"write variant: gpu and extras: \[vla\] "),
        ("fedprox-vla", ["flower"], r"write variant: gpu and extras: \[vla\] "),
        ("flower-digits", ["vla"], r"write extras: \[flower\] "),
    ],
)
def test_images_without_what_a_job_needs_are_refused_with_what_to_write(
    tmp_path: Path, job: str, extras: list[str], words: str, runtime: str
) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=extras))
    with pytest.raises(InputError, match=rf"{words}.* up --runtime {runtime}"):
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
def test_a_job_that_the_images_have_all_for_is_not_refused(
    tmp_path: Path, job: str, extras: list[str], runtime: str | None
) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=extras))
    refuse_missing_extras(find(job), project, runtime)


@pytest.mark.parametrize("runtime", ["docker", "kubernetes"])
def test_what_the_images_have_need_not_be_installed_where_a_job_is_submitted(
    tmp_path: Path, runtime: str
) -> None:
    project = load_project(write_project(tmp_path, sites=2, extras=["vla"]))
    job = replace(find("fedprox-vla"), needs={"lerobot_of_nowhere": "flarefleet[vla]"})

    assert job.missing(extras_of_images(project, runtime)) == ""
    assert "pip install 'flarefleet[vla]'" in job.missing(extras_of_images(project, "process"))
    of_the_recipe = replace(job, needs={"torch_of_nowhere": "flarefleet[jobs]"})
    assert "pip install 'flarefleet[jobs]'" in of_the_recipe.missing(extras_of_images(project, runtime))
