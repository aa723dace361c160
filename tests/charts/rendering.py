"""Render charts with helm, for the tests."""

from __future__ import annotations

import json
import os
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.errors import MachineError
from deploy.tools import find_tool
from tests.skipping import skip_or_fail_in_ci

HERE = Path(__file__).parent
HELM_FOLDER = HERE.parents[1] / "helm"
CHARTS = ("flare-server", "flare-client")
OLDEST, NEWEST = "1.30", "1.37"
"""The Kubernetes versions of the charts' kubeVersion and of their annotation."""

Values = dict[str, Any]


class RefusedError(Exception):
    """helm failed to render; the text is its error."""


@dataclass(frozen=True)
class Rendered:
    """The objects of one release."""

    text: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [document for document in _load_all(self.text) if document]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """The only object of a kind, or the one of that name."""
        found = [one for one in self.all(kind) if name in (None, one["metadata"]["name"])]
        assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}"
        return found[0]

    @property
    def pod(self) -> dict[str, Any]:
        return self.one("StatefulSet")["spec"]["template"]

    @property
    def parent(self) -> dict[str, Any]:
        """The container of NVFlare's parent."""
        return next(one for one in self.pod["spec"]["containers"] if one["name"] == "parent")

    @property
    def test_pod(self) -> dict[str, Any]:
        return self.one("Pod")


@cache
def helm() -> str:
    """Return the helm program; without one, skip the test, or fail it in CI."""
    try:
        return str(find_tool("helm"))
    except MachineError as error:
        skip_or_fail_in_ci(str(error))


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def minimal() -> Values:
    return _read("minimal.yaml")


def everything(chart: str) -> Values:
    """Return values that set every value of a chart to something other than its default."""
    return overlaid(_read("everything.yaml"), _read(f"everything-{chart.removeprefix('flare-')}.yaml"))


def render(
    chart: str, values: Values | None = None, release: str = "site-1", notes: bool = False
) -> Rendered:
    """Render a chart with values (default: the required ones).

    Raises:
        RefusedError: helm rejects the values.
    """
    verb = ("install", "--dry-run=client", "--hide-secret") if notes else ("template",)
    ended = _run(chart, json.dumps(minimal() if values is None else values), release, verb)
    if ended.returncode:
        raise RefusedError(ended.stderr)
    return Rendered(ended.stdout)


@cache
def _run(chart: str, values: str, release: str, verb: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = [helm(), *verb, release, str(HELM_FOLDER / chart), "--namespace", "fed", "--values", "-"]
    quick = os.environ | {"GOGC": "off"}  # helm spends a fifth of its 50 ms on garbage collection
    return subprocess.run(command, input=values, capture_output=True, text=True, check=False, env=quick)


def overlaid(base: Values, over: Values) -> Values:
    result = deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = overlaid(result[key], value) if both else value
    return result


def with_value(path: str, value: Any, base: Values | None = None) -> Values:
    """Return the minimal values (or `base`) with one value set by its dotted path."""
    nested = value
    for key in reversed(path.split(".")):
        nested = {key: nested}
    return overlaid(minimal() if base is None else base, nested)


@cache
def read_schema(chart: str) -> dict[str, Any]:
    return json.loads((HELM_FOLDER / chart / "values.schema.json").read_text(encoding="utf-8"))


@cache
def _text(name: str) -> Values:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def _read(name: str) -> Values:
    return deepcopy(_text(name))


def _load_all(text: str) -> Any:
    return yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
