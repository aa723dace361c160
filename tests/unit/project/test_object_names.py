"""Participants and projects with the same object names in Kubernetes or Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.project.object_names import compose_name, release_name

from .project_file import VALID, WITHOUT_DEPLOYMENT, changed, errors, load


def with_site(name: str, content: str = WITHOUT_DEPLOYMENT) -> str:
    return content.replace("name: site-2\n", f"name: {name}\n")


def test_a_site_with_the_helm_release_of_the_server_is_reported(tmp_path: Path) -> None:
    assert errors(tmp_path, with_site("flare-example-org")) == [
        "project.yml:14: participants[2].name: flare-example-org and flare.example.org both become the Helm "
        "release flare-example-org in the namespace flare-example-org; rename one of them"
    ]


def test_a_site_with_the_shortened_release_name_of_the_server_is_reported(tmp_path: Path) -> None:
    server = "a" * 52 + "-server"

    (found,) = errors(tmp_path, with_site("a" * 52).replace("name: flare.example.org", f"name: {server}"))

    assert "both become the Helm release" in found


def test_namespaces_separate_helm_releases_but_not_compose_projects(tmp_path: Path) -> None:
    sites = "deployment: {sites: {flare.example.org: {namespace: a}, flare-example-org: {namespace: b}}}\n"

    (found,) = errors(tmp_path, with_site("flare-example-org") + sites)

    assert "both become the Compose project flare-consortium-flare-example-org" in found


def test_two_participants_may_share_a_namespace(tmp_path: Path) -> None:
    shared = "    site-2: {namespace: flare-site-1}\n"

    assert load(tmp_path, VALID + shared).parent("site-2").deployment.namespace == "flare-site-1"


@pytest.mark.parametrize("other", ["consortium", "elsewhere"])
def test_a_project_whose_name_differs_in_case_from_one_in_the_workspace_is_reported(
    tmp_path: Path, other: str
) -> None:
    (tmp_path / "workspace" / other / "state").mkdir(parents=True)
    content = changed("name: consortium", "name: Consortium")
    workspace = tmp_path / "workspace"

    if other == "elsewhere":
        assert load(tmp_path, content, workspace).name == "Consortium"
        return
    assert errors(tmp_path, content, workspace) == [
        f"project.yml:2: name: Consortium and consortium, another federation in {workspace}, both become the "
        f"Compose project flare-consortium; choose another name, or delete {workspace}/consortium if it is "
        "unused"
    ]


def test_a_project_does_not_collide_with_its_own_workspace(tmp_path: Path) -> None:
    (tmp_path / "workspace" / "consortium" / "state").mkdir(parents=True)

    assert load(tmp_path, VALID, tmp_path / "workspace").name == "consortium"


@pytest.mark.parametrize(
    ("name", "expected"), [("demo", "flare-demo"), ("Demo_1", "flare-demo_1"), ("a.b c", "flare-a-b-c")]
)
def test_a_project_name_becomes_a_valid_compose_project_name(name: str, expected: str) -> None:
    assert compose_name(name) == expected


def test_a_domain_name_becomes_a_helm_release_with_hyphens() -> None:
    assert release_name("flare.example.org") == "flare-example-org"
