"""A new job for Hugging Face passes its own tests. Runs in .venv-vla, which has transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="runs in .venv-vla: make vla")

from deploy.new_job import write_job


def test_a_new_job_for_hugging_face_passes_its_own_tests(tmp_path: Path) -> None:
    folder = write_job("fresh-vla-text", "huggingface", tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert "3 passed" in ran.stdout, ran.stdout
