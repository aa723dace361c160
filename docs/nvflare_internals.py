"""Write the table of docs/nvflare-internals.md: `python -m docs.nvflare_internals`."""

from __future__ import annotations

import re
from pathlib import Path

from fl_app.nvflare_internals.self_check import declared_names, table

FILE = Path(__file__).with_name("nvflare-internals.md")


def updated() -> str:
    """Return the page with the current table."""
    page = FILE.read_text(encoding="utf-8")
    return re.sub(r"\| name \| purpose \|\n(\|.*\n)*", lambda _: table(declared_names()) + "\n", page)


if __name__ == "__main__":
    FILE.write_text(updated(), encoding="utf-8")
