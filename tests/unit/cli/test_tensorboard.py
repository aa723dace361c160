"""The command tensorboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.cli.tensorboard import _folder_of
from deploy.errors import InputError


@pytest.mark.parametrize("job", ["..", ".", "job-1/site-1", "job-2", ""])
def test_only_the_id_of_a_job_with_event_files_is_accepted(tmp_path: Path, job: str) -> None:
    (tmp_path / "job-1" / "site-1").mkdir(parents=True)

    with pytest.raises(InputError, match="Jobs with event files: job-1"):
        _folder_of(tmp_path, job)

    assert _folder_of(tmp_path, "job-1") == tmp_path / "job-1"
