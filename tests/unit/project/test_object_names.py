"""Participants and projects with the same object names in Kubernetes or Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.project.object_names import compose_name, release_name

from .project_file import VALID, WITHOUT_DEPLOYMENT, changed, errors, load


def with_site(name: str, content: str = WITHOUT_DEPLOYMENT) -> str:
    return content.replace("name: site-2\n", f"name: {name}\n")


NAMESPACES = "{flare.example.org: {namespace: a}, flare-example-org: {namespace: b}}"
LONG = "a" * 52


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            with_site("flare-example-org"),
            "14: participants[2].name: flare-example-org and flare.example.org both become the Helm release "
            "flare-example-org in the namespace flare-example-org; rename one of them",
        ),
        (
            with_site(LONG).replace("name: flare.example.org", f"name: {LONG}-server"),
            f"14: participants[2].name: {LONG} and {LONG}-server both become the Helm release {LONG} in ",
        ),
        (
            with_site("flare-example-org") + f"deployment: {{sites: {NAMESPACES}}}\n",
            "14: participants[2].name: flare-example-org and flare.example.org both become the Compose "
            "project flare-consortium-flare-example-org",
        ),
    ],
    ids=["dots", "a shortened name", "Compose ignores namespaces"],
)
def test_a_site_with_an_object_of_the_server_is_reported(tmp_path: Path, content: str, error: str) -> None:
    (found,) = errors(tmp_path, content)

    assert found.startswith(f"project.yml:{error}")


def test_two_participants_may_share_a_namespace(tmp_path: Path) -> None:
    shared = "    site-2: {namespace: flare-site-1}\n"

    assert load(tmp_path, VALID + shared).parent("site-2").deployment.namespace == "flare-site-1"


def test_a_project_whose_name_differs_in_case_from_one_in_the_workspace_is_reported(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    for project in ("consortium", "elsewhere"):
        (workspace / project / "state").mkdir(parents=True)

    assert load(tmp_path, VALID, workspace).name == "consortium"
    assert errors(tmp_path, changed("name: consortium", "name: Consortium"), workspace) == [
        f"project.yml:2: name: Consortium and consortium, another federation in {workspace}, both become the "
        f"Compose project flare-consortium; choose another name, or delete {workspace}/consortium if it is "
        "unused"
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("demo", "flare-demo"), ("Demo_1", "flare-demo_1"), ("a.b c", "flare-a-b-c")]
)
def test_a_project_name_becomes_a_valid_compose_project_name(name: str, expected: str) -> None:
    assert compose_name(name) == expected


def test_a_domain_name_becomes_a_helm_release_with_hyphens() -> None:
    assert release_name("flare.example.org") == "flare-example-org"
