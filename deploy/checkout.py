"""Paths of the checkout that Flarefleet runs from."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
CHARTS = CHECKOUT / "helm"
TOOLS = CHECKOUT / ".tools"
"""Programs that `make tools` downloads."""
