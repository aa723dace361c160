"""Jobs on a running federation, through the command line as users have it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from deploy.session import AdminKit, open_session
from deploy.session.parameters import find_job, read_parameters
from deploy.session.submission import Participants, exporter

pytestmark = pytest.mark.federation

SITES = ("site-1", "site-2")
ADMIN = "ada@example.org"
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Federation:
    """One server and two sites, running as processes."""

    folder: Path

    @property
    def admin_kit(self) -> Path:
        return self.folder / "workspace" / "jobs" / "kits" / ADMIN

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BIN / "flarefleet", *arguments],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, typed: str = "") -> Done:
        process = self.start(*arguments)
        out, err = process.communicate(typed, timeout=180)
        return Done(process.returncode, out, err)

    def submit_and_leave(self, *settings: str) -> str:
        done = self.run("submit", "probe", "--detach", *(word for one in settings for word in ("--set", one)))
        assert done.code == 0, done.err
        return done.out.strip()

    def wait_for(self, what: str, is_so: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
            time.sleep(0.2)

    def job_process(self, site: str, job_id: str) -> psutil.Process | None:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "fl_app.launchers.site_job" in words and job_id in words and site in words:
                return process
        return None


def write_project(file: Path, port: int, sites: tuple[str, ...] = SITES) -> None:
    server = {"name": "flare-server", "type": "server", "org": "lab", "fed_learn_port": port}
    document = {
        "api_version": 3,
        "name": "jobs",
        "description": "jobs",
        "participants": [
            {**server, "default_host": "localhost", "host_names": ["localhost"]},
            *({"name": name, "type": "client", "org": "lab"} for name in sites),
            {"name": ADMIN, "type": "admin", "org": "lab", "role": "lead"},
        ],
        "builders": [
            {"path": "nvflare.lighter.impl.workspace.WorkspaceBuilder"},
            {
                "path": "nvflare.lighter.impl.static_file.StaticFileBuilder",
                "args": {"config_folder": "config"},
            },
            {"path": "nvflare.lighter.impl.cert.CertBuilder"},
        ],
    }
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    made = Federation(tmp_path_factory.mktemp("jobs"))
    write_project(made.folder / "project.yml", free_port())
    for verb in (("provision",), ("up", "--runtime", "process")):
        done = made.run(*verb)
        assert done.code == 0, done.err
    yield made
    made.run("down")


def test_a_job_is_watched_to_its_end_with_its_rounds_and_metrics(federation: Federation) -> None:
    done = federation.run("submit", "probe", "--set", "rounds=3")
    assert done.code == 0, done.err
    assert ID.fullmatch(done.out.strip())
    assert "round 3/3" in done.err
    for site in SITES:
        assert re.search(rf"{site}: [123] rounds? done \(round [123]\)", done.err), done.err


def test_json_is_one_document_and_nothing_else_on_stdout(federation: Federation) -> None:
    submitted = federation.run("submit", "probe", "--json")
    assert submitted.code == 0, submitted.err
    job = json.loads(submitted.out)
    assert (job["name"], job["status"], job["errors"]) == ("probe", "FINISHED:COMPLETED", {})
    listed = json.loads(federation.run("jobs", "--json").out)
    assert job["id"] in [one["id"] for one in listed]


def test_a_job_that_fails_at_one_site_names_it_and_shows_its_exception(federation: Federation) -> None:
    done = federation.run("submit", "probe", "--set", "failing_site=site-2", "--set", "failing_round=2")
    assert done.code == 1
    assert "ended FINISHED:EXECUTION_EXCEPTION" in done.err
    assert "ProbeFailure: site-2 was told to fail in round 2" in done.err
    assert "site-1:" not in done.err.partition("ended FINISHED")[2]
    assert "site-packages/nvflare" not in done.err


def test_results_are_fetched_into_a_new_folder_by_what_they_are(
    federation: Federation, tmp_path: Path
) -> None:
    job_id = federation.run("submit", "probe").out.strip()
    results = tmp_path / "results"
    assert federation.run("fetch", job_id, str(results)).code == 0
    assert (results / "model" / "FL_global_model.pt").is_file()
    assert "Finished FedAvg" in (results / "logs" / "server.log.txt").read_text()
    assert not any((federation.admin_kit / "transfer").iterdir())

    again = federation.run("fetch", job_id, str(results))
    assert again.code == 2
    assert "nothing is overwritten" in again.err


def test_a_running_job_is_not_fetched_and_can_be_aborted(federation: Federation, tmp_path: Path) -> None:
    job_id = federation.submit_and_leave("rounds=100", "seconds=1")
    early = federation.run("fetch", job_id, str(tmp_path / "early"))
    assert early.code == 1
    assert "has not ended" in early.err
    assert not (tmp_path / "early").exists()

    assert federation.run("abort", job_id).code == 0
    watched = federation.run("watch", job_id)
    assert watched.code == 1
    assert "FINISHED:ABORTED" in watched.err
    twice = federation.run("abort", job_id)
    assert twice.code == 1
    assert "has already ended" in twice.err


def test_ctrl_c_leaves_the_job_running_and_says_how_to_watch_it(federation: Federation) -> None:
    watching = federation.start("submit", "probe", "--set", "rounds=100", "--set", "seconds=1")
    seen = ""
    while "round 1/100" not in seen:
        line = watching.stderr.readline()
        assert line, seen
        seen += line
    watching.send_signal(signal.SIGINT)
    _, rest = watching.communicate(timeout=60)
    job_id = ID.search(seen).group()
    assert watching.returncode == 130
    assert f"flarefleet watch {job_id}" in rest
    status = {job["id"]: job["status"] for job in json.loads(federation.run("jobs", "--json").out)}
    assert status[job_id] == "RUNNING"
    assert federation.run("abort", job_id).code == 0


def test_a_killed_job_process_fails_the_job_and_watching_sees_it(federation: Federation) -> None:
    job_id = federation.submit_and_leave("rounds=100", "seconds=1")
    federation.wait_for("site-1 trains", lambda: federation.job_process("site-1", job_id) is not None)
    os.kill(federation.job_process("site-1", job_id).pid, signal.SIGKILL)
    done = federation.run("watch", job_id)
    assert done.code == 1
    assert f"{job_id} (probe) ended FINISHED:" in done.err
    assert "COMPLETED" not in done.err
    federation.wait_for("all parts ended", lambda: federation.job_process("site-2", job_id) is None)


def test_two_submissions_at_once_are_two_jobs_and_both_complete(federation: Federation) -> None:
    both = [federation.start("submit", "probe") for _ in range(2)]
    ids = set()
    for process in both:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        ids.add(out.strip())
    assert len(ids) == 2


def test_a_submission_repeated_with_its_token_is_one_job(federation: Federation, tmp_path: Path) -> None:
    job = find_job("probe")
    with exporter(job) as making, open_session(AdminKit.read(federation.admin_kit)) as session:
        exported = making.export(read_parameters(job, ()), Participants(SITES, chosen=False), tmp_path)
        first = session.submit(exported.folder, "token-of-this-test")
        again = session.submit(exported.folder, "token-of-this-test")
    assert first == again


def test_a_job_that_waits_for_sites_is_reported_with_the_reason(
    federation: Federation, tmp_path: Path
) -> None:
    folder = probe_for_five_sites(tmp_path, wait_for_sites=600)
    with open_session(AdminKit.read(federation.admin_kit)) as session:
        job_id = session.submit(folder, "token-of-a-job-that-waits")
    done = federation.run("watch", job_id, "--timeout", "5")
    assert done.code == 1
    assert "has not ended within 5 s: it is SUBMITTED" in done.err
    assert "needs 5 sites, and 2 are registered (site-1, site-2)" in done.err
    assert federation.run("abort", job_id).code == 0


def test_nvflares_own_submit_is_told_of_sites_that_have_never_been_here(
    federation: Federation, tmp_path: Path
) -> None:
    command = [
        *(str(BIN / "nvflare"), "--format", "json", "job", "submit"),
        *("-j", str(probe_for_five_sites(tmp_path)), "--startup-kit", str(federation.admin_kit)),
    ]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode != 0
    assert "needs 5 sites, and 2 are registered (site-1, site-2)" in refused.stdout + refused.stderr


def probe_for_five_sites(into: Path, **props: float) -> Path:
    job = find_job("probe")
    with exporter(job) as making:
        exported = making.export(read_parameters(job, ()), Participants(SITES, chosen=False), into)
    meta = exported.folder / "meta.json"
    wanted = {**json.loads(meta.read_text()), "min_clients": 5, "custom_props": props}
    meta.write_text(json.dumps(wanted))
    return exported.folder


def test_a_site_that_is_not_registered_is_named_before_anything_is_submitted(federation: Federation) -> None:
    before = len(json.loads(federation.run("jobs", "--json").out))
    done = federation.run("submit", "probe", "--admin-kit", str(federation.admin_kit), "--site", "site-3")
    assert done.code == 1
    assert "missing: site-3" in done.err
    assert len(json.loads(federation.run("jobs", "--json").out)) == before


def test_a_job_can_go_to_one_site_alone(federation: Federation) -> None:
    done = federation.run("submit", "probe", "--site", "site-2")
    assert done.code == 0, done.err
    assert "submitted to 1 site\n" in done.err
    assert "site-1" not in done.err


def test_wrong_parameters_are_refused_before_submission(federation: Federation) -> None:
    done = federation.run("submit", "probe", "--set", "round=3", "--set", "seconds=soon")
    assert done.code == 2
    assert "did you mean rounds?" in done.err
    assert "seconds=soon" in done.err
    assert done.out == ""


def test_an_unknown_job_id_is_wrong_input(federation: Federation) -> None:
    for verb in (("watch",), ("abort",)):
        done = federation.run(*verb, "00000000-0000-0000-0000-000000000000")
        assert done.code == 2
        assert "there is no job 00000000" in done.err


def test_nvflares_own_console_works_on_the_kit(federation: Federation) -> None:
    done = federation.run("console", typed=f"{ADMIN}\ncheck_status server\nbye\n")
    assert done.code == 0, done.err
    for site in SITES:
        assert site in done.out


def test_nvflares_own_job_commands_work_on_the_kit(federation: Federation, tmp_path: Path) -> None:
    exported = federation.run("export", "probe", str(tmp_path / "jobs"))
    assert exported.code == 0, exported.err
    kit = ["--startup-kit", str(federation.admin_kit)]
    nvflare = [str(BIN / "nvflare"), "--format", "json", "job"]
    submit = [*nvflare, "submit", "-j", exported.out.strip(), *kit]
    submitted = subprocess.run(submit, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    job_id = ID.search(submitted.stdout).group()
    listed = subprocess.run(
        [*nvflare, "list", *kit], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert job_id in listed.stdout
    assert federation.run("watch", job_id).code == 0


def test_a_kit_of_another_federation_is_refused_in_clear_words(
    federation: Federation, tmp_path: Path
) -> None:
    port = AdminKit.read(federation.admin_kit).port
    stranger = Federation(tmp_path)
    write_project(tmp_path / "project.yml", port)
    assert stranger.run("provision").code == 0
    done = stranger.run("jobs", "--admin-kit", str(stranger.admin_kit))
    assert done.code == 1
    assert f"localhost:{port}" in done.err
    assert ADMIN in done.err
    assert "Traceback" not in done.err
