"""Write values.yaml, values.schema.json and README.md of each chart from one source: `make charts`.

The source is CHART/values.schema.yaml, for the server and sites laid over flare-common/values.schema.yaml
(what both have): a JSON schema in YAML whose properties carry a description and a default. `--check` writes
nothing and fails where a file drifted.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import yaml

HELM = Path(__file__).resolve().parent
PARTICIPANTS = ("flare-server", "flare-client")
CHARTS = (*PARTICIPANTS, "flare-monitoring")
WIDTH = 110
Schema = dict[str, Any]

HEADER = """\
# Values of the chart {chart}. Written by `make charts` from values.schema.yaml: do not edit.
# An unknown key is an error (values.schema.json). README.md has the same as a table.
"""


def main() -> int:
    """Write the files, or with --check say which ones drifted; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file drifted")
    check = parser.parse_args().check
    drifted = []
    for chart in CHARTS:
        for path, text in generated_files(chart).items():
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                drifted.append(path)
                if not check:
                    path.write_text(text, encoding="utf-8")
    for path in drifted:
        print(f"{path}: {'differs from values.schema.yaml; run make charts' if check else 'written'}")
    return 1 if check and drifted else 0


def generated_files(chart: str) -> dict[Path, str]:
    """Every generated file of a chart, with what it should hold."""
    schema = read_schema(chart)
    folder = HELM / chart
    return {
        folder / "values.yaml": values_yaml(chart, schema),
        folder / "values.schema.json": json.dumps(strict(schema), indent=2, ensure_ascii=False) + "\n",
        folder / "README.md": readme(folder, schema),
    }


def read_schema(chart: str) -> Schema:
    """The schema of one chart: what is its own first, then what participants have, `$ref`s written out."""
    own = yaml.safe_load((HELM / chart / "values.schema.yaml").read_text(encoding="utf-8"))
    if chart not in PARTICIPANTS:
        return written_out({"type": "object", "properties": own["properties"]}, own["definitions"])
    common = yaml.safe_load((HELM / "flare-common/values.schema.yaml").read_text(encoding="utf-8"))
    definitions = common["definitions"]
    properties = merged(common["properties"], own["properties"])
    first = ["site", *(name for name in own["properties"] if name not in common["properties"])]
    ordered = {name: properties[name] for name in [*first, *(n for n in properties if n not in first)]}
    return {"type": "object", "properties": {n: written_out(s, definitions) for n, s in ordered.items()}}


def merged(base: Schema, over: Schema) -> Schema:
    """Two schemas' properties as one; what `over` says wins."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def written_out(schema: Schema, definitions: Schema) -> Schema:
    """A property with the definition that its `$ref` names in place of the name."""
    if "$ref" in schema:
        own = {key: value for key, value in schema.items() if key != "$ref"}
        return {**definitions[schema["$ref"]], **own}
    if "properties" in schema and "default" not in schema:
        inner = {name: written_out(child, definitions) for name, child in schema["properties"].items()}
        return {**schema, "properties": inner}
    return schema


def is_section(schema: Schema) -> bool:
    """Whether a property only groups others: they carry the defaults and the documentation."""
    return "properties" in schema and "default" not in schema


def strict(schema: Schema) -> Schema:
    """The JSON schema for helm: every section closed, what must be given required, helm's own keys let in."""

    def close(part: Schema) -> Schema:
        if not is_section(part):
            return {key: value for key, value in part.items() if key != "default"}
        inner = {name: close(child) for name, child in part["properties"].items()}
        return {**part, "properties": inner, "additionalProperties": False}

    closed = close(schema)
    helms_own = {"global": {"type": "object"}, "flare-common": {"type": "object"}}
    must_be_given = [name for name, part in schema["properties"].items() if part.get("required")]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **closed,
        "required": must_be_given,
        "properties": {**closed["properties"], **helms_own},
    }


def values_yaml(chart: str, schema: Schema) -> str:
    """values.yaml: each value at its default, under its description."""
    return HEADER.format(chart=chart) + "\n" + "\n".join(_value_lines(schema, 0))


def _value_lines(schema: Schema, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, part in schema["properties"].items():
        if is_section(part):
            yield f"{indent}{name}:"
            yield from _value_lines(part, depth + 1)
            if depth == 0:
                yield ""
            continue
        for line in textwrap.wrap(part["description"], WIDTH - len(indent) - 2):
            yield f"{indent}# {line}"
        if "default" not in part:
            yield f'{indent}{name}: ""  # must be given'
            continue
        yield from _default_lines(name, part["default"], indent)
        if depth == 0:
            yield ""


def _default_lines(name: str, default: object, indent: str) -> Iterator[str]:
    if not isinstance(default, (dict, list)):
        scalar = default if isinstance(default, str) and default else json.dumps(default)
        yield f"{indent}{name}: {scalar}"
        return
    text = yaml.dump({name: default}, Dumper=_Indented, default_flow_style=None, sort_keys=False, width=WIDTH)
    for line in text.rstrip("\n").splitlines():
        yield f"{indent}{line}"


class _Indented(yaml.SafeDumper):
    """Lists stand below their key, indented, as everywhere in the charts."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def readme(folder: Path, schema: Schema) -> str:
    """README.md: the chart's README.md.j2 with the table of values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, HELM / "flare-common"]),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown from our own sources
    )
    chart = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    return environment.get_template("README.md.j2").render(chart=chart, values=list(documented(schema)))


def documented(schema: Schema, prefix: str = "") -> Iterator[dict[str, str]]:
    """Every value with its path, default and description, as the table shows them."""
    for name, part in schema["properties"].items():
        path = f"{prefix}{name}"
        if is_section(part):
            yield from documented(part, f"{path}.")
        else:
            default = json.dumps(part["default"]) if "default" in part else "must be given"
            yield {"path": path, "default": default, "description": part["description"].replace("|", "\\|")}


if __name__ == "__main__":
    sys.exit(main())
