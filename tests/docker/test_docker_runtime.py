"""The Docker runtime: hardened containers, restarts, volumes, and error messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from deploy.demo.measurements import logged_values
from deploy.errors import Failed, MachineError
from deploy.project import load_project
from deploy.runtimes.docker.volumes import copy_out, volume_container
from deploy.runtimes.protocol import SiteState
from fl_app.jobs.hospital.job import HospitalParameters
from tests.documented import ROOT, block_with, run
from tests.federation.federation import ADMIN, SERVER, Federation, set_options, write_project
from tests.unit.hospital.averaging import average
from tests.waiting import eventually

pytestmark = pytest.mark.docker

SITES = ("site-1", "site-2", "site-3")
PARTICIPANTS = (SERVER, *SITES)
HOSPITAL = HospitalParameters(rounds=5, seed=5)

INSPECTION = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/1/status") if ":" in line)
mounts = [line.split() for line in open("/proc/mounts")]
folders = {mount[1] for mount in mounts}
folders |= {"/", "/etc", "/etc/flare/kit", "/opt/flare", "/usr", "/var", "/var/lib", "/home", "/run"}
def writable(folder):
    try:
        name = os.path.join(folder, ".probe")
        open(name, "w").close()
        os.remove(name)
    except OSError:
        return False
    return True
key = next(os.scandir("/run/secrets/flare")).stat()
print(json.dumps({
    "capabilities": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "user": status["Uid"].split() + status["Gid"].split(),
    "seccomp": status["Seccomp"].strip(),
    "writable": sorted(folder for folder in folders if writable(folder)),
    "tmp": next(mount[3].split(",") for mount in mounts if mount[1] == "/tmp"),
    "key": [key.st_uid, oct(key.st_mode & 0o777)],
}))
"""


@pytest.fixture(scope="module")
def shared(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Make a federation of a server and three sites."""
    file = write_project(tmp_path_factory.mktemp("docker"), sites=3, name=f"docker-{os.getpid()}")
    federation = Federation(file.parent, "docker")
    try:
        yield federation
    finally:
        federation.remove()


@pytest.fixture
def federation(shared: Federation) -> Federation:
    """Return the federation. All participants are ready, even if the previous test stopped some."""
    if not shared.status().is_ready:
        shared.run("up", "--runtime", "docker")
    return shared


def container(engine: docker.DockerClient, federation: Federation, name: str) -> Container:
    return engine.containers.get(federation.site(name).where.split()[-1])


@pytest.mark.parametrize("name", PARTICIPANTS)
def test_a_container_is_hardened(engine: docker.DockerClient, federation: Federation, name: str) -> None:
    seen = container(engine, federation, name).exec_run(["python", "-c", INSPECTION])
    assert seen.exit_code == 0, seen.output
    inside = json.loads(seen.output)
    assert inside["capabilities"] == ["0" * 16] * 5
    assert inside["no_new_privileges"] == "1"
    assert inside["user"] == ["10001"] * 8
    assert inside["seccomp"] == "2"
    assert inside["writable"] == ["/dev/mqueue", "/dev/shm", "/tmp", "/var/lib/flare"]
    assert {"noexec", "nosuid", "nodev"} <= set(inside["tmp"])
    assert inside["key"] == [10001, "0o400"]


def test_every_container_has_limits_and_labels_and_only_the_server_publishes_a_port(
    engine: docker.DockerClient, federation: Federation
) -> None:
    port = federation.project.server.fed_learn_port
    for name in PARTICIPANTS:
        found = container(engine, federation, name)
        limits = found.attrs["HostConfig"]
        assert limits["PidsLimit"] == 4096
        assert limits["Memory"] == 8 * 2**30
        assert limits["RestartPolicy"]["Name"] == "unless-stopped"
        assert found.labels["flare/site"] == name
        assert found.labels["flare/role"] == ("server" if name == SERVER else "client")
        published = {key: to for key, to in found.ports.items() if to}
        expected = {f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        assert published == (expected if name == SERVER else {})


def test_hospital_equals_local_training_and_is_tracked(federation: Federation, tmp_path: Path) -> None:
    expected = average(HOSPITAL, hospitals=len(SITES))

    job = run_job(federation, "hospital", tmp_path / "job", **HOSPITAL.model_dump(exclude_none=True))

    assert job["status"] == "FINISHED:COMPLETED"
    for index, name in enumerate(SITES):
        events = tmp_path / "job" / "tb_events"
        accuracy = logged_values(events, name, "accuracy_after_training", HOSPITAL.rounds)
        assert accuracy == pytest.approx(expected.own_accuracy[index], abs=0.01)
        assert len(logged_values(events, name, "loss", HOSPITAL.rounds)) == HOSPITAL.rounds


def test_a_flower_job_is_rejected_if_the_images_have_no_flower(federation: Federation) -> None:
    rejected = federation.flarefleet("submit", "flower-digits")

    assert rejected.returncode == 2
    assert "write extras: [flower] under deployment.image" in rejected.stderr


def test_a_parent_that_is_killed_is_started_again_in_its_container(
    engine: docker.DockerClient, federation: Federation
) -> None:
    site = container(engine, federation, "site-3")

    site.exec_run(["python", "-c", "import psutil; psutil.Process(1).children()[0].children()[0].kill()"])

    eventually(
        lambda: json.loads(federation.ask("site-3", "/readyz")[1]).get("restarts") == 1,
        60,
        "it is started again",
        tolerating=[OSError],
    )
    eventually(lambda: federation.site("site-3").state is SiteState.READY, 60, "it is ready again")
    assert engine.containers.get(site.id).attrs["RestartCount"] == 0


def test_the_engine_restarts_a_container_that_exits(
    engine: docker.DockerClient, federation: Federation
) -> None:
    site = container(engine, federation, "site-3")

    site.exec_run(["python", "-c", "import os; os.kill(1, 15)"])

    eventually(lambda: engine.containers.get(site.id).attrs["RestartCount"] == 1, 20, "it is restarted")
    eventually(lambda: federation.site("site-3").state is SiteState.READY, 60, "it is ready again")


def test_a_new_certificate_refolders_the_key_volume_of_its_site(
    engine: docker.DockerClient, federation: Federation
) -> None:
    before = key_volumes(engine, federation)
    site = "{name: site-1, type: client, org: %s}"
    federation.change(site % "clinics", site % "county")

    federation.up()

    after = key_volumes(engine, federation)
    assert (len(after), len(after & before)) == (4, 3)


def test_a_paused_site_is_reported(engine: docker.DockerClient, federation: Federation) -> None:
    site = container(engine, federation, "site-2")
    site.pause()
    try:
        assert federation.site("site-2").state is SiteState.NOT_READY
        assert "paused" in federation.site("site-2").reason
    finally:
        site.unpause()


def test_the_servers_event_files_are_readable_on_this_machine(
    engine: docker.DockerClient, federation: Federation, tmp_path: Path
) -> None:
    write = "import pathlib; f = pathlib.Path('/var/lib/flare/analytics/job/site-1'); "
    write += "f.mkdir(parents=True); (f / 'events').write_text('measured')"
    server = container(engine, federation, SERVER)
    assert server.exec_run(["python", "-c", write]).exit_code == 0

    live = federation.runtime.analytics()
    with volume_container(
        engine, f"flare-{federation.project.name}_{SERVER}-workspace", "/data", server.image, {}
    ) as one:
        assert copy_out(one, "/data/analytics", tmp_path / "copy")
        assert not copy_out(one, "/data/nothing", tmp_path / "nothing")

    assert live is not None
    for folder in (live, tmp_path / "copy"):
        assert (folder / "job" / "site-1" / "events").read_text() == "measured"


def test_a_port_that_another_container_publishes_is_rejected_before_anything_starts(
    engine: docker.DockerClient, federation: Federation, tmp_path: Path
) -> None:
    port = federation.project.server.fed_learn_port
    other = Federation(write_project(tmp_path, sites=1, name="others", port=port).parent, "docker")

    with pytest.raises(MachineError, match=rf"Port {port} .* published by the container flare-docker-"):
        other.up()

    assert engine.containers.list(all=True, filters={"label": "flare/project=others"}) == []
    assert other.flarefleet("up", "--runtime", "docker").returncode == 3


def test_a_federation_of_the_same_name_in_another_folder_is_rejected(
    federation: Federation, tmp_path: Path
) -> None:
    same_name = load_project(write_project(tmp_path, sites=1, name=federation.project.name))
    other = Federation(tmp_path, "docker")
    assert same_name.name == federation.project.name

    with pytest.raises(MachineError, match=f"already has a federation {federation.project.name}"):
        other.up()

    assert other.status().sites == ()
    assert federation.status().is_ready


def test_down_keeps_only_the_workspaces(
    engine: docker.DockerClient, federation: Federation, tmp_path: Path
) -> None:
    job = run_job(federation, "fibonacci", tmp_path / "job", rounds=1)["id"]

    assert federation.flarefleet("down").returncode == 0

    labelled = {"label": f"flare/project={federation.project.name}"}
    assert engine.containers.list(all=True, filters=labelled) == []
    assert engine.networks.list(filters=labelled) == []
    assert {volume.name for volume in engine.volumes.list(filters=labelled)} == {
        f"flare-{federation.project.name}_{name}-workspace" for name in PARTICIPANTS
    }
    assert federation.status().sites == ()
    with pytest.raises(Failed, match="start the federation"):
        federation.runtime.admin_kit(ADMIN)
    assert federation.flarefleet("up", "--runtime", "docker").returncode == 0
    assert job in job_ids(federation), "the server keeps its jobs"


def test_the_commands_of_the_guide_for_one_machine_work(
    engine: docker.DockerClient, federation: Federation
) -> None:
    """The last one deletes the federation."""
    lines = block_with(ROOT / "docs" / "docker.md", "flarefleet up --runtime docker")
    (follow,) = (line for line in lines if "--follow" in line)
    ended = f"{follow} >log & until grep Successfully log; do sleep 0.2; done; kill $!"

    for line in lines:
        run(ended if line == follow else line, federation.folder)

    labelled = {"label": f"flare/project={federation.project.name}"}
    assert engine.containers.list(all=True, filters=labelled) == []
    assert engine.volumes.list(filters=labelled) == []


def run_job(federation: Federation, job: str, results: Path, **parameters: object) -> dict[str, Any]:
    """Submit a job, wait for it, fetch its results, and return its description."""
    options = set_options(parameters)
    submitted = federation.run("submit", job, *options, "--fetch", str(results), "--json")
    return dict(json.loads(submitted.stdout))


def job_ids(federation: Federation) -> list[str]:
    listed = federation.run("jobs", "--json")
    return [job["id"] for job in json.loads(listed.stdout)]


def key_volumes(engine: docker.DockerClient, federation: Federation) -> set[str]:
    labels = [f"flare/project={federation.project.name}", "flare/private-key"]
    return {volume.name for volume in engine.volumes.list(filters={"label": labels})}
