"""One line of figures of a CI run, read from the report that the demo wrote."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Print what the demo measured: accuracies in percent, and the seconds of each step."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    alone = [hospital["alone"]["accuracy"] for hospital in report["hospitals"]]
    accuracies = {
        "federated": report["federated"]["accuracy"],
        "central": report["central"]["accuracy"],
        "alone (mean)": sum(alone) / len(alone),
    }
    figures = [f"{name} {100 * accuracy:.1f} %" for name, accuracy in accuracies.items()]
    figures += [f"{step['name']} {step['seconds']:.1f} s" for step in report["steps"]]
    print("figures of the demo:", ", ".join(figures))


if __name__ == "__main__":
    main()
