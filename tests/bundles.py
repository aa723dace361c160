"""Support bundles and the doctor's results of running federations."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from tests.federation.federation import Federation


def files_in(archive: Path) -> dict[str, str]:
    """Return the text of each file of a bundle by its path."""
    with tarfile.open(archive) as tar:
        assert {member.mode for member in tar.getmembers()} == {0o600}
        return {
            member.name.partition("/")[2]: content.read().decode()
            for member in tar.getmembers()
            if (content := tar.extractfile(member))
        }


def key_lines(folder: Path) -> dict[str, str]:
    """Return each line of each private key below a folder, by file and number."""
    return {
        f"{file}:{number}": line
        for file in folder.rglob("*.key")
        for number, line in enumerate(file.read_text().splitlines())
        if len(line) > 15 and not line.startswith("--")
    }


def bundle_of(federation: Federation, archive: Path, *options: str) -> dict[str, str]:
    """Make a bundle of a running federation, check that it has no key, and return its files."""
    federation.run("bundle", "--output", str(archive), *options)
    files = files_in(archive)
    everything = "\n".join(files.values())
    lines = key_lines(federation.workspace.root)
    assert lines
    assert [where for where, line in lines.items() if line in everything] == []
    return files


def assert_the_doctor_finds_no_error(federation: Federation) -> None:
    """Run the doctor on a running federation."""
    found = json.loads(federation.run("doctor", "--json").stdout)
    checks = {check["name"]: check for check in found["checks"]}
    assert found["ok"]
    assert checks["sites-ready"]["status"] == "ok"
