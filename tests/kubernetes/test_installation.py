"""Installation with helm in a `restricted` namespace, from a release folder, the charts and the image."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.kubernetes.cluster import CommandFailedError, Release
from tests.kubernetes.conftest import Federation

pytestmark = pytest.mark.kubernetes


def test_helm_test_checks_the_server_and_its_certificate(federation: Federation) -> None:
    output = federation.server.test()
    assert "Succeeded" in output
    assert "certificate valid until" in output


def test_the_commands_in_the_notes_of_an_installation_work(new_site: Release) -> None:
    output = [line.strip() for line in new_site.install().splitlines()]
    wait = next(line for line in output if " rollout status " in line)
    test = next(line for line in output if line.startswith("helm test "))
    health = next(line for line in output if " exec " in line)
    for program, *words in (shlex.split(wait), shlex.split(test)):
        new_site.cluster.run(program, *words)
    assert new_site.cluster.run(*shlex.split(health)) == "ready\n"
    assert f"`helm uninstall` keeps the volume workspace-{new_site.pod}." in output


def test_helm_test_fails_with_the_reason_while_the_server_is_down(federation: Federation) -> None:
    cluster, site, server = federation.cluster, federation.site_2, ("-n", federation.server.namespace)
    scale = ("scale", *server, "statefulset/flare-server")
    cluster.kubectl(*scale, "--replicas=0")
    try:
        cluster.kubectl("wait", *server, "pod/flare-server-0", "--for=delete", "--timeout=60s")
        not_ready = ("--for=condition=Ready=false", "--timeout=60s")
        cluster.kubectl("wait", "-n", site.namespace, f"pod/{site.pod}", *not_ready)
        site.upgrade("--set", "tests.timeoutSeconds=5")
        with pytest.raises(CommandFailedError):
            site.test()
        test_pod = cluster.get("pod", "-n", site.namespace, "site-2-test")
        ended = test_pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert "site-2 is not ready" in ended["message"]
        assert cluster.get("pod", "-n", site.namespace, site.pod)["status"]["phase"] == "Running"
    finally:
        cluster.kubectl(*scale, "--replicas=1")
        site.upgrade()
        for release in federation.releases:
            release.wait_until_ready()
    assert "Succeeded" in site.test()


def test_the_parent_has_no_token_no_writable_root_file_system_and_is_not_root(federation: Federation) -> None:
    output = federation.site_1.python(
        "import os, json\n"
        "try: open('/opt/x', 'w'); root = 'writable'\n"
        "except OSError as error: root = error.strerror\n"
        "print(json.dumps({'uid': os.getuid(), 'root': root,"
        " 'token': os.path.exists('/var/run/secrets/kubernetes.io')}))"
    )
    assert json.loads(output) == {"uid": 10001, "root": "Read-only file system", "token": False}


def test_only_the_parent_can_read_the_private_key_which_is_not_in_the_workspace(
    federation: Federation,
) -> None:
    output = federation.site_1.python(
        "import os; f = os.stat('/run/secrets/flare/client.key'); print(oct(f.st_mode & 0o777), f.st_gid)\n"
        "print([d for d, _, names in os.walk('/var/lib/flare') for n in names"
        " if n.endswith('.key') and not os.path.islink(os.path.join(d, n))])"
    )
    assert output.split("\n")[:2] == ["0o440 10001", "[]"]


def test_tini_is_the_first_process(federation: Federation) -> None:
    assert "tini" in federation.site_1.python("print(open('/proc/1/cmdline').read())")


def test_a_pod_that_is_not_restricted_is_rejected(federation: Federation) -> None:
    with pytest.raises(CommandFailedError, match="violates PodSecurity"):
        federation.cluster.kubectl("run", "-n", "fed-site-1", "intruder", "--image=localhost/busybox:1")
