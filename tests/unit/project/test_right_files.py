from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nvflare.lighter
import pytest
import yaml

from deploy.project import Dataset, SiteDeployment, load_project

from .valid import RIGHT, changed, load, mistakes

ROOT = Path(__file__).parents[3]
LIGHTER = Path(nvflare.lighter.__file__).parent
OURS = ["project.yml", "examples/consortium/project.yml"]


def nvflare_provision(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("nvflare")
    return subprocess.run(
        [program, "provision", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_what_the_file_says_is_what_the_project_holds(tmp_path: Path) -> None:
    project = load(tmp_path, RIGHT)

    assert (project.name, project.description, project.api_version) == ("consortium", "A federation", 3)
    assert (project.server.name, project.server.fed_learn_port, project.server.admin_port) == (
        "flare.example.org",
        8002,
        8002,
    )
    assert project.server.host_names == ("flare.internal.example.org",)
    assert project.server_host == "flare.example.org"
    assert [(site.name, site.org) for site in project.sites] == [
        ("site-1", "hospital_1"),
        ("site-2", "hospital_2"),
    ]
    assert [(admin.name, admin.role) for admin in project.admins] == [("admin@example.org", "project_admin")]
    assert (project.image.registry, project.image.tag, project.image.variant) == (
        "registry.example.org/flare",
        "1.0.0",
        "gpu",
    )
    assert project.scheme == "grpc"


def test_a_site_has_its_own_values_over_the_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, RIGHT)

    assert project.sites[0].deployment == SiteDeployment(
        gpus=1,
        storage="200Gi",
        namespace="flare-site-1",
        datasets={"training": Dataset(claim="site-1-data", mode="ro")},
    )
    assert project.sites[1].deployment == SiteDeployment(storage="20Gi")


def test_datasets_of_the_defaults_and_of_a_site_add_up(tmp_path: Path) -> None:
    defaults = "defaults: {datasets: {common: {claim: common, mode: ro}}}"
    project = load(tmp_path, changed("defaults: {launcher: process, storage: 20Gi}", defaults))

    assert sorted(project.sites[0].deployment.datasets) == ["common", "training"]
    assert sorted(project.sites[1].deployment.datasets) == ["common"]


def test_the_server_has_a_deployment_under_its_own_name(tmp_path: Path) -> None:
    project = load(
        tmp_path, RIGHT + "    flare.example.org: {storage: 1Ti, resources: {requests: {cpu: 2}}}\n"
    )

    assert project.server.deployment.storage == "1Ti"
    assert project.server.deployment.resources == {"requests": {"cpu": "2"}}


def test_default_host_is_what_sites_connect_to(tmp_path: Path) -> None:
    project = load(tmp_path, changed("fed_learn_port: 8002", "default_host: 10.0.0.7\n    admin_port: 8003"))

    assert project.server_host == "10.0.0.7"
    assert (project.server.fed_learn_port, project.server.admin_port) == (8002, 8003)


@pytest.mark.parametrize("extra", ["flower", "vla"])
def test_images_have_the_extras_that_the_file_names(tmp_path: Path, extra: str) -> None:
    assert load(tmp_path, RIGHT).image.extras == ()
    with_extra = load(tmp_path, changed("variant: gpu", f"variant: gpu, extras: [{extra}]"))
    assert with_extra.image.extras == (extra,)


def test_without_deployment_everything_has_a_default(tmp_path: Path) -> None:
    project = load(tmp_path, RIGHT[: RIGHT.index("deployment:")])

    assert project.sites[0].deployment == SiteDeployment()
    assert (project.image.variant, project.image.registry) == ("cpu", "flarefleet")


def test_the_scheme_is_nvflares_own_default_where_the_file_names_none(tmp_path: Path) -> None:
    assert load(tmp_path, changed("\n      scheme: grpc", "")).scheme == "http"
    assert load(tmp_path, changed("scheme: grpc", "scheme: TCP")).scheme == "tcp"


@pytest.mark.parametrize("name", OURS)
def test_the_document_is_what_nvflare_reads(name: str) -> None:
    path = ROOT / name

    assert load_project(path).document == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("name", OURS)
def test_stock_nvflare_provisions_our_files_deployment_included(name: str, tmp_path: Path) -> None:
    project = load_project(ROOT / name)
    shutil.copy(ROOT / name, tmp_path / "project.yml")

    done = nvflare_provision(tmp_path, "-p", "project.yml", "-w", "workspace")

    assert done.returncode == 0, done.stderr
    kits = {folder.name for folder in (tmp_path / "workspace" / project.name / "prod_00").iterdir()}
    everybody = (project.server, *project.sites, *project.admins)
    assert kits == {participant.name for participant in everybody}


def test_the_default_project_runs_on_this_machine_alone() -> None:
    project = load_project(ROOT / "project.yml")

    assert project.server_host == "localhost"
    assert {"localhost", "flare-server"} <= set(project.server.host_names)
    assert [site.name for site in project.sites] == [f"hospital-{number}" for number in range(1, 5)]
    assert len({site.org for site in project.sites}) == 4


def test_the_template_that_nvflare_writes_is_right(tmp_path: Path) -> None:
    assert nvflare_provision(tmp_path, "-g").returncode == 0

    project = load_project(tmp_path / "project.yml")

    assert project.name == "example_project"
    assert [site.name for site in project.sites] == ["site-1", "site-2"]


def test_the_edge_template_is_refused_with_words(tmp_path: Path) -> None:
    said = mistakes(tmp_path, (LIGHTER / "edge_project.yml").read_bytes())

    assert any("edge: Flarefleet carries no edge federation" in message for message in said)


def test_the_federation_that_nvflare_poc_makes_is_right(tmp_path: Path) -> None:
    document = yaml.safe_load((LIGHTER / "dummy_project.yml").read_text())
    document["participants"][0]["default_host"] = "localhost"
    document["participants"] += [{"name": f"site-{n}", "type": "client", "org": "nvidia"} for n in (3, 4)]

    assert len(load(tmp_path, yaml.safe_dump(document)).sites) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("name: consortium", "\nname: consortium  # a comment", id="comments"),
        pytest.param("description: A federation", "", id="no description"),
        pytest.param("description: A federation", "description:", id="an empty description"),
        pytest.param(
            "description: A federation", "description: |\n  two\n  lines", id="a text of several lines"
        ),
        pytest.param("name: consortium", "name: example_project", id="a project with an underscore"),
        pytest.param(
            "description: A federation", "x-anchors: {a: &a {b: c}, d: *a}", id="a place for anchors"
        ),
        pytest.param(
            "description: A federation", "connection_security: tls", id="a value for all participants"
        ),
        pytest.param("host_names: [flare.internal.example.org]", "host_names: flare2", id="one host name"),
        pytest.param("host_names: [flare.internal.example.org]", "host_names: [10.0.0.7]", id="an address"),
        pytest.param("host_names: [flare.internal.example.org]", "host_names:", id="no host names"),
        pytest.param("org: hospital_2", "org: hospital_2\n    capacity:\n    parent:", id="empty values"),
        pytest.param("fed_learn_port: 8002", "listening_host: flare-lh", id="listening_host as a text"),
        pytest.param(
            "fed_learn_port: 8002",
            "listening_host: {default_host: a, port: 0, scheme: tcp, connection_security: CLEAR}",
            id="listening_host as a mapping",
        ),
        pytest.param(
            "org: hospital_2", "org: hospital_2\n    connect_to: other.example.org", id="connect_to a host"
        ),
        pytest.param(
            "org: hospital_2",
            "org: hospital_2\n    connect_to: {name: flare.example.org, host: proxy, port: 443}",
            id="connect_to a host and port",
        ),
        pytest.param("org: hospital_2", "org: hospital_2\n    parent: site-1", id="a hierarchy of clients"),
        pytest.param(
            "org: hospital_2", "org: hospital_2\n    parent: flare.example.org", id="the server as parent"
        ),
        pytest.param(
            "org: hospital_2",
            "org: hospital_2\n    capacity: {num_of_gpus: 1, mem_per_gpu_in_GiB: 16}",
            id="capacity",
        ),
        pytest.param("api_version: 3", "api_version: 4", id="api_version 4 without studies"),
        pytest.param(
            "api_version: 3",
            "api_version: 4\nstudies:\n  cancer:\n    site_orgs: {hospital_1: [site-1]}\n"
            "    admins: [admin@example.org]\n  empty:",
            id="studies",
        ),
        pytest.param("role: project_admin", "role: lead", id="a lead, who may submit"),
        pytest.param(
            "CertBuilder", "CertBuilder\n    args: {root_valid_days: 3650}", id="a builder's argument"
        ),
        pytest.param("CertBuilder", "CertBuilder\n    args:", id="a builder's empty arguments"),
        pytest.param("storage: 200Gi", "storage: 1.5Ti", id="a fraction"),
        pytest.param(
            "gpus: 1", "resources: {requests: {cpu: 0.5, memory: 1Gi}, limits: {cpu: 2}}", id="resources"
        ),
        pytest.param("gpus: 1", "launcher: pod", id="jobs as pods"),
        pytest.param("image: {registry", "image: # no\n    {registry", id="a comment within"),
        pytest.param("registry.example.org/flare", "localhost:5000", id="a registry with a port"),
        pytest.param("defaults: {launcher: process, storage: 20Gi}", "defaults:", id="empty defaults"),
        pytest.param("    args: {template_file: [master_template.yml]}\n", "", id="no template"),
    ],
)
def test_what_nvflare_or_yaml_allows_is_not_refused(old: str, new: str, tmp_path: Path) -> None:
    content = changed(old, new)

    assert load(tmp_path, content).document == yaml.safe_load(content)


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    content = changed(
        "    site-1:\n      gpus: 1\n",
        "    site-2: &common {gpus: 2, launcher: pod}\n    site-1:\n      <<: *common\n      gpus: 3\n",
    )

    first, second = load(tmp_path, content).sites

    assert (first.deployment.gpus, first.deployment.launcher) == (3, "pod")
    assert (second.deployment.gpus, second.deployment.launcher) == (2, "pod")


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()).name == "consortium"


def test_a_builder_of_ones_own_beside_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "own_builder.py").write_text(
        "raise SystemExit('reading a project.yml must run nothing')\n"
        "class Own:\n    def __init__(self, colour, size=1): ...\n"
    )
    own = "CertBuilder\n  - path: own_builder.Own\n    args: {colour: red}"

    assert load(tmp_path, changed("CertBuilder", own)).name == "consortium"
    assert (
        "builders[3].args: Own needs the argument colour"
        in mistakes(tmp_path, changed("CertBuilder", "CertBuilder\n  - path: own_builder.Own"))[0]
    )
