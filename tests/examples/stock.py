"""Run the examples on stock NVFlare and store how they end.

make examples
.venv-examples/bin/python -m tests.examples.stock [EXAMPLE...]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import nvflare
from example_jobs.recipes import EXAMPLES

from benchmarks.job.federations import SITES, Stock
from benchmarks.project import ADMIN
from tests.examples.coverage import WITH_PACKAGES
from tests.examples.running import add_site_results, run

ENCRYPTION = ("he.HEBuilder", "signature.SignatureBuilder")
"""Builders for the example of homomorphic encryption."""
FILE = Path(__file__).with_name("stock.json")


def main() -> None:
    """Measure all examples, or replace the measurements of some."""
    chosen = sys.argv[1:]
    with TemporaryDirectory(prefix="stock-examples-") as made:
        stock = Stock(Path(made) / "stock", ENCRYPTION)
        with stock.up():
            outcomes = run(stock.kits / ADMIN, chosen or [*EXAMPLES, *WITH_PACKAGES], Path(made))
            add_site_results(outcomes, {site: stock.kits / site for site in SITES})
    found = {
        name: {"status": outcomes[name].status, "results": outcomes[name].results}
        for name in sorted(outcomes)
    }
    before = json.loads(FILE.read_text(encoding="utf-8"))["examples"] if chosen else {}
    FILE.write_text(_document(dict(sorted({**before, **found}.items()))), encoding="utf-8")


def _document(found: Mapping[str, object]) -> str:
    """Return a JSON document with one line for each example."""
    head = f'"measured": "{datetime.now(timezone.utc):%Y-%m-%d}", "nvflare": "{nvflare.__version__}"'
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(outcome)}" for name, outcome in found.items())
    return f'{{{head}, "examples": {{\n{lines}\n}}}}\n'


if __name__ == "__main__":
    main()
