"""A valid project.yml, as Flarefleet and NVFlare read it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

import nvflare.lighter
import pytest
import yaml

from deploy.errors import InputError
from deploy.project import Dataset, Image, Project, SiteDeployment, load_project

from .project_file import VALID, WITHOUT_DEPLOYMENT, changed, edits, errors, load, with_deployment

ROOT = Path(__file__).parents[3]
LIGHTER = Path(nvflare.lighter.__file__).parent
OURS = ["project.yml", "examples/consortium/project.yml"]


def nvflare_provision(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("nvflare")
    command, nothing = [program, "provision", *arguments], subprocess.DEVNULL
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=nothing, check=False)


def test_a_project_has_the_values_of_the_file(tmp_path: Path) -> None:
    project = load(tmp_path, VALID)

    assert (project.name, project.description, project.api_version) == ("consortium", "A federation", 3)
    server = project.server
    assert (server.name, server.fed_learn_port, server.admin_port) == ("flare.example.org", 8002, 8002)
    assert server.host_names == ("flare.internal.example.org",)
    assert project.server_host == "flare.example.org"
    sites = {site.name: site.org for site in project.sites}
    assert sites == {"site-1": "hospital_1", "site-2": "hospital_2"}
    assert [(admin.name, admin.role) for admin in project.admins] == [("admin@example.org", "project_admin")]
    assert project.image == Image(registry="registry.example.org/flare", tag="1.0.0", variant="gpu")
    assert project.scheme == "grpc"


def test_settings_of_a_site_override_the_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, VALID)

    assert project.sites[0].deployment == SiteDeployment(
        gpus=1,
        storage="200Gi",
        namespace="flare-site-1",
        datasets={"training": Dataset(claim="site-1-data", mode="ro")},
    )
    assert project.sites[1].deployment == SiteDeployment(storage="20Gi")


SERVER_SETTINGS = "    flare.example.org: {storage: 1Ti, resources: {requests: {cpu: 2}}}\n"
DATASETS = "defaults: {datasets: {common: {claim: common, mode: ro}}}"


@pytest.mark.parametrize(
    ("content", "value_of", "expected"),
    [
        (
            changed("defaults: {launcher: process, storage: 20Gi}", DATASETS),
            lambda it: [sorted(site.deployment.datasets) for site in it.sites],
            [["common", "training"], ["common"]],
        ),
        (
            VALID + SERVER_SETTINGS,
            lambda it: (it.server.deployment.storage, it.server.deployment.resources),
            ("1Ti", {"requests": {"cpu": "2"}}),
        ),
        (
            changed("fed_learn_port: 8002", "default_host: 10.0.0.7\n    admin_port: 8003"),
            lambda it: (it.server_host, it.server.fed_learn_port, it.server.admin_port),
            ("10.0.0.7", 8002, 8003),
        ),
        (changed("variant: gpu", "variant: gpu, extras: [vla]"), lambda it: it.image.extras, ["vla"]),
        (changed("variant: gpu", "variant: gpu, extras: [flower]"), lambda it: it.image.extras, ["flower"]),
        (changed("\n      scheme: grpc", ""), lambda it: it.scheme, "http"),
        (changed("scheme: grpc", "scheme: TCP"), lambda it: it.scheme, "tcp"),
    ],
    ids=["merged datasets", "the server", "default_host", "vla", "flower", "NVFlare's scheme", "upper case"],
)
def test_a_setting_of_the_file_is_a_value_of_the_project(
    tmp_path: Path, content: str, value_of: Callable[[Project], object], expected: object
) -> None:
    assert value_of(load(tmp_path, content)) == expected


def test_every_setting_of_deployment_has_a_default(tmp_path: Path) -> None:
    project = load(tmp_path, WITHOUT_DEPLOYMENT)

    assert project.sites[0].deployment == SiteDeployment()
    assert (project.image.variant, project.image.registry, project.image.extras) == ("cpu", "flarefleet", [])
    assert not project.image.registry_is_given
    assert load(tmp_path, VALID).image.registry_is_given


@pytest.mark.parametrize("name", OURS)
def test_the_document_for_nvflare_is_a_copy_of_the_file(name: str) -> None:
    path = ROOT / name
    project = load_project(path)
    project.nvflare_document()["participants"].clear()

    assert project.nvflare_document() == yaml.safe_load(path.read_text())


def test_the_document_for_another_port_keeps_the_credentials_of_the_original_folder(tmp_path: Path) -> None:
    (tmp_path / "a.env").touch(mode=0o600)
    content = with_deployment("tracking: {credentials: a.env}")
    content = content.replace("fed_learn_port: 8002", "admin_port: 8003")

    document = load(tmp_path, content).document_for_port(9000)

    assert document["participants"][0]["fed_learn_port"] == 9000
    assert "admin_port" not in document["participants"][0]
    assert document["deployment"]["tracking"]["credentials"] == str(tmp_path / "a.env")


def test_parents_are_the_server_and_every_site(tmp_path: Path) -> None:
    project = load(tmp_path, VALID)

    roles = {parent.name: parent.role for parent in project.parents}
    assert roles == {"flare.example.org": "server", "site-1": "client", "site-2": "client"}
    assert project.parent("site-2").org == "hospital_2"
    with pytest.raises(InputError, match=r"site-9; available: flare\.example\.org, site-1, site-2"):
        project.parent("site-9")


def test_stock_nvflare_provisions_a_file_with_deployment(tmp_path: Path) -> None:
    project = load_project(ROOT / "examples/consortium/project.yml")
    shutil.copy(project.path, tmp_path / "project.yml")

    done = nvflare_provision(tmp_path, "-p", "project.yml", "-w", "workspace")

    assert done.returncode == 0, done.stderr
    kits = {folder.name for folder in (tmp_path / "workspace" / project.name / "prod_00").iterdir()}
    assert kits == {participant.name for participant in project.participants}


def test_the_default_project_runs_on_one_machine() -> None:
    project = load_project(ROOT / "project.yml")

    assert project.server_host == "localhost"
    assert {"localhost", "flare-server"} <= set(project.server.host_names)
    assert [site.name for site in project.sites] == [f"hospital-{number}" for number in range(1, 5)]
    assert len({site.org for site in project.sites}) == 4


def test_the_example_that_nvflare_writes_is_valid(tmp_path: Path) -> None:
    assert nvflare_provision(tmp_path, "-g").returncode == 0

    project = load_project(tmp_path / "project.yml")

    assert project.name == "example_project"
    assert [site.name for site in project.sites] == ["site-1", "site-2"]


def test_the_edge_template_is_rejected(tmp_path: Path) -> None:
    found = errors(tmp_path, (LIGHTER / "edge_project.yml").read_bytes())

    assert any("edge: Flarefleet does not support edge" in message for message in found)


def test_the_federation_of_nvflare_poc_is_valid(tmp_path: Path) -> None:
    document = yaml.safe_load((LIGHTER / "dummy_project.yml").read_text())
    document["participants"][0]["default_host"] = "localhost"
    document["participants"] += [{"name": f"site-{n}", "type": "client", "org": "nvidia"} for n in (3, 4)]

    assert len(load(tmp_path, yaml.safe_dump(document)).sites) == 4


def test_sites_on_the_machine_of_the_server_may_have_gpus(tmp_path: Path) -> None:
    document = yaml.safe_load(VALID)
    document["participants"][0]["default_host"] = "localhost"
    document["deployment"]["sites"] = {"site-1": {"gpus": 1, "resources": {"limits": {"memory": "4Gi"}}}}

    assert load(tmp_path, yaml.safe_dump(document)).sites[0].deployment.gpus == 1


@pytest.mark.parametrize("content", [content for content, _ in edits("valid.txt")])
def test_everything_that_nvflare_and_yaml_allow_is_accepted(content: str, tmp_path: Path) -> None:
    assert load(tmp_path, content).nvflare_document() == yaml.safe_load(content)


def test_anchors_and_merge_keys_are_applied(tmp_path: Path) -> None:
    content = changed(
        "    site-1:\n      gpus: 1\n",
        "    site-2: &common {gpus: 2, launcher: pod}\n    site-1:\n      <<: *common\n      gpus: 3\n",
    )

    first, second = load(tmp_path, content).sites

    assert (first.deployment.gpus, first.deployment.launcher) == (3, "pod")
    assert (second.deployment.gpus, second.deployment.launcher) == (2, "pod")


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode()).name == "consortium"


BUILDER = """\
raise SystemExit("validation must not execute a builder")
class Custom:
    def __init__(self, colour, size=1): ...
"""


def test_a_custom_builder_beside_the_file_is_found_and_not_executed(tmp_path: Path) -> None:
    (tmp_path / "custom_builder.py").write_text(BUILDER)
    custom = "CertBuilder\n  - path: custom_builder.Custom"

    assert load(tmp_path, changed("CertBuilder", custom + "\n    args: {colour: red}")).builders[3].args
    assert errors(tmp_path, changed("CertBuilder", custom)) == [
        "project.yml:30: builders[3].args: Custom requires the argument colour; add it"
    ]


def test_a_custom_builder_in_an_editable_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "checkout" / "src"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("raise SystemExit")
    (source / "builders.py").write_text(BUILDER)

    class EditableFinder:
        """As setuptools generates it: a mapping of packages to folders that are not on sys.path."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            file = {"in_checkout": "__init__.py", "in_checkout.builders": "builders.py"}.get(name)
            return spec_from_file_location(name, source / file) if file else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, EditableFinder])
    custom = "CertBuilder\n  - path: in_checkout.builders.Custom\n    args: {colour: red}"

    assert len(load(tmp_path, changed("CertBuilder", custom)).builders) == 5
