"""values.yaml: the settings of a participant for its chart, and the public part of its kit."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import yaml

from deploy.hosts import SERVICE_NAME, address_of
from deploy.project.server_environment import server_environment, site_environment
from deploy.release.participant import Participant
from fl_app.contract import ENV_ANALYTICS_KEEP_DAYS, ENV_TRACKING

HEADER = """\
# Values of {name} in the federation {project}, for the chart {chart}.
# `flarefleet provision` overwrites this file. Put your own settings into a second file and pass both to helm:
# -f values.yaml -f own.yaml. The chart's README.md documents all values.
"""
KIT_HEADER = """\
# The public part of the kit: certificates and settings, no private key. A change restarts the pod.
kit:
  source: values
  files:
"""
KIT_IN_IMAGE = """\
# The public part of the kit is in this participant's own image, because Helm values cannot hold it.
kit:
  source: image
"""
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's is four times as fast
_LITERAL = re.compile(r"[\t\n\x20-\x7e]*")


def values_text(participant: Participant) -> str:
    """Return the content of values.yaml."""
    settings = "".join(_entry(key, json.dumps(value)) for key, value in _settings(participant).items())
    header = HEADER.format(name=participant.name, project=participant.project.name, chart=participant.chart)
    return f"{header}\n{settings}\n{_kit(participant)}"


@cache
def _entry(key: str, value: str) -> str:
    """Return a JSON value as a YAML entry. Cached because most sites have the same values."""
    return str(
        yaml.dump(
            {key: json.loads(value)}, Dumper=_DUMPER, sort_keys=False, default_flow_style=False, width=110
        )
    )


def _kit(participant: Participant) -> str:
    if participant.kit_files is None:
        return KIT_IN_IMAGE
    return KIT_HEADER + "".join(
        f"    {folder}:\n" + "".join(_file(name, text) for name, text in files.items())
        for folder, files in participant.kit_files.items()
    )


def _settings(participant: Participant) -> dict[str, Any]:
    project, deployment = participant.project, participant.deployment
    registry = project.image.registry
    image, _, tag = participant.image.rpartition(":")
    names = {"registry": registry, "repository": image.removeprefix(f"{registry}/"), "tag": tag}
    settings: dict[str, Any] = {
        "site": {"name": participant.name, "project": project.name},
        "image": names | ({"digest": participant.digest} if participant.digest else {}),
        "key": {"existingSecret": participant.secret},
        "launcher": deployment.launcher,
        "gpus": deployment.gpus,
        "persistence": {"size": deployment.storage},
    }
    if deployment.resources:
        settings["resources"] = deployment.resources
    if deployment.datasets:
        settings["datasets"] = {
            name: {"claim": data.claim, "mode": data.mode} for name, data in deployment.datasets.items()
        }
    return settings | (
        _server_settings(participant) if participant.is_server else _site_settings(participant)
    )


def _server_settings(participant: Participant) -> dict[str, Any]:
    server = participant.project.server
    settings: dict[str, Any] = {
        "ports": {"federation": server.fed_learn_port, "admin": server.admin_port},
        "service": {"port": server.fed_learn_port},
    }
    if server.admin_port != server.fed_learn_port:
        settings["service"]["adminPort"] = server.admin_port
    tracking = participant.project.tracking
    if tracking.receivers:
        settings["tracking"] = {"receivers": list(tracking.receivers)}
    if tracking.keep_days is not None:
        settings["analytics"] = {"keepDays": tracking.keep_days}
    # The chart sets these two itself.
    further = server_environment(participant.project)
    further = {name: further[name] for name in further if name not in (ENV_TRACKING, ENV_ANALYTICS_KEEP_DAYS)}
    if further:
        # Kubernetes reads $$ as $, and $(NAME) as the value of another variable.
        settings["environment"] = {name: value.replace("$", "$$") for name, value in further.items()}
    return settings


def _site_settings(participant: Participant) -> dict[str, Any]:
    project = participant.project
    rule: dict[str, Any] = {"ports": [project.server.fed_learn_port]}
    if peers := server_peers(participant.server_host):
        rule["to"] = peers
    settings: dict[str, Any] = {"networkPolicy": {"server": rule}}
    if participant.server_host != project.server_host:
        settings["server"] = {"address": participant.server_address}
    if environment := site_environment(project):
        settings["environment"] = environment
    return settings


def server_peers(host: str) -> list[dict[str, Any]]:
    """Return the server as a peer of a NetworkPolicy; nothing if only its host name is known."""
    if (address := address_of(host)) is not None:
        return [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}]
    if (service := SERVICE_NAME.fullmatch(host)) is not None:
        return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": service["namespace"]}}}]
    return []


@cache
def _file(name: str, text: str) -> str:
    """Return a file of the kit as a YAML entry, as a literal block if possible.

    Cached because most sites have the same files.
    """
    body = text.removesuffix("\n")
    is_literal = (
        _LITERAL.fullmatch(text)
        and body
        and not body.endswith("\n")
        and not body.startswith((" ", "\n", "\t"))
    )
    if not is_literal:
        return f"      {json.dumps(name)}: {json.dumps(text)}\n"
    keep = "|" if text.endswith("\n") else "|-"
    lines = "".join(f"        {line}\n" if line else "\n" for line in body.split("\n"))
    return f"      {json.dumps(name)}: {keep}\n{lines}"
