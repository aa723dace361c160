"""A new job for Hugging Face passes its own tests. Runs in .venv-vla, which has transformers."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="runs in .venv-vla: make vla")

from deploy.new_job import write_job


def test_a_new_job_for_hugging_face_passes_its_own_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_job("fresh-text", "huggingface", tmp_path)
    monkeypatch.syspath_prepend(folder)
    tests = {
        name: test
        for name, test in vars(import_module("test_fresh_text")).items()
        if name.startswith("test_")
    }
    assert len(tests) == 3
    for name, test in tests.items():
        (tmp_path / name).mkdir()
        test(tmp_path / name)
