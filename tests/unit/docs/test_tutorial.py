"""The tutorial for authors of PyTorch scripts shows files that run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from docs.author_api import SECTIONS
from tests.patients import write_patients

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "pytorch-script"


def test_the_tutorial_shows_the_files_of_the_example() -> None:
    page = (ROOT / "docs" / "bring-your-pytorch-script.md").read_text(encoding="utf-8")
    files = ("before/train.py", "after/client.py", "after/job.py")
    shown = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown == [(EXAMPLE / name).read_text(encoding="utf-8") for name in files]


def test_the_script_before_learns(tmp_path: Path) -> None:
    data = write_patients(tmp_path / "data")
    ran = subprocess.run(
        [sys.executable, EXAMPLE / "before" / "train.py", "--data", data, "--epochs", "3"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    accuracies = [float(text) for text in re.findall(r"accuracy ([\d.]+)", ran.stdout)]
    assert accuracies[-1] > max(accuracies[0], 0.8)  # its first epoch may come close to it
    assert (tmp_path / "model.pt").is_file()


def test_the_reference_has_every_base_class_of_a_job() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = [name for _, _, section in SECTIONS for name in section]
    assert re.findall(r"^### (\w+)", page, re.MULTILINE) == [name.rpartition(".")[2] for name in names]
    assert "- `train(weights: Weights, round: Round) -> LocalResult`: Train one round" in page
    assert "- `examples`: weight of this site in the average." in page
