"""Makes .venv-flower, what .venv has and Flower beside it: `python -m deploy.flower`, or `make flower`.

Flower excludes versions of cryptography, protobuf, rich and typer that .venv has. .venv-flower holds Flower
and the versions that go with it, and looks into .venv for all else, so that torch is not installed twice. Who
runs a federation from it (`.venv-flower/bin/flarefleet up`) can run Flower jobs.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-flower"
REQUIREMENTS = ROOT / "requirements" / "flower.txt"
_OURS = ROOT / "requirements" / "dev.txt"
_EXCLUDED = ("cryptography", "fastapi", "packaging", "protobuf", "rich", "starlette", "typer", "uvicorn")
"""Packages of which Flower takes only other versions than .venv has."""
_COMMAND = """\
#!{python}
import sys

from deploy.cli.app import main

sys.exit(main())
"""


def make() -> Path:
    """Make the environment where it is missing or of other requirements; return its Python."""
    python = ENVIRONMENT / "bin" / "python"
    made = ENVIRONMENT / "made-from.txt"
    with (ROOT / ".venv-flower.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.is_file() or made.read_text(encoding="utf-8") != REQUIREMENTS.read_text(encoding="utf-8"):
            venv.create(ENVIRONMENT, clear=True)
            _look_into(Path(sysconfig.get_path("purelib")))
            _install(python)
            command = ENVIRONMENT / "bin" / "flarefleet"
            command.write_text(_COMMAND.format(python=python), encoding="utf-8")
            command.chmod(0o755)
            made.write_text(REQUIREMENTS.read_text(encoding="utf-8"), encoding="utf-8")
    return python


def lock() -> None:
    """Write requirements/flower.txt anew: Flower's packages, in .venv's versions where Flower takes those."""
    ours = [line.removesuffix(" \\\n") for line in _OURS.open(encoding="utf-8") if line[0].isalnum()]
    with TemporaryDirectory() as folder:
        wanted, held = Path(folder, "flower.in"), Path(folder, "held.txt")
        wanted.write_text("flwr>=1.27,<1.35\n", encoding="utf-8")
        held.write_text(
            "\n".join(line for line in ours if line.partition("==")[0] not in _EXCLUDED), encoding="utf-8"
        )
        compiled = [
            *(sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--strip-extras"),
            *(
                "--allow-unsafe",
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--no-header",
                "--no-annotate",
            ),
            *("--constraint", str(held), "--output-file", str(REQUIREMENTS), str(wanted)),
        ]
        subprocess.run(compiled, check=True)


def _look_into(packages: Path) -> None:
    below = {"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}
    here = Path(sysconfig.get_path("purelib", vars=below))
    here.joinpath("zz_what_venv_has.pth").write_text(
        f"import site; site.addsitedir({str(packages)!r})\n", encoding="utf-8"
    )


def _install(python: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    wanted = ["install", "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    subprocess.run([*pip, *wanted], check=True)


if __name__ == "__main__":
    if "--lock" in sys.argv:
        lock()
    else:
        print(make())
