"""Event files: TensorBoard reads them while they are written, and their size is limited."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.tracking.event_files import MAX_TAGS, EventFiles
from fl_app.tracking.points import HistogramPoint, ImagePoint, Kind, ScalarPoint, TextPoint
from tests.event_files import read_run

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def scalar(site: str, step: int, value: float = 1.0, tag: str = "loss") -> ScalarPoint:
    return ScalarPoint(site=site, tag=tag, step=step, time=float(step), value=value)


@pytest.fixture
def files(tmp_path: Path) -> EventFiles:
    return EventFiles(tmp_path, server="flare-server")


def test_each_site_and_the_server_have_a_run(files: EventFiles, tmp_path: Path) -> None:
    files.write("job", [scalar("site-1", 0, 0.5), scalar("site-2", 0, 0.25), scalar("", 1, 2.0)])

    for site, expected in (("site-1", (0, 0.5)), ("site-2", (0, 0.25)), ("flare-server", (1, 2.0))):
        (found,) = read_run(tmp_path / "job" / site).Scalars("loss")
        assert (found.step, found.value) == expected


def test_values_can_be_read_while_the_job_runs_and_after_its_end(files: EventFiles, tmp_path: Path) -> None:
    files.write("job", [scalar("site-1", 0)])
    run = read_run(tmp_path / "job" / "site-1")
    files.end("job")
    files.write("job", [scalar("site-1", 1)])
    run.Reload()

    assert [event.step for event in run.Scalars("loss")] == [0, 1]
    assert [event.wall_time for event in run.Scalars("loss")] == [0.0, 1.0]


def test_texts_images_histograms_and_parameters_are_written(files: EventFiles, tmp_path: Path) -> None:
    histogram = HistogramPoint(site="a", tag="weights", time=1, edges=(0, 1, 3), counts=(2, 5))
    image = ImagePoint(site="a", tag="sample", time=1, width=1, height=1, channels=4, png=PNG)
    text = TextPoint(site="a", tag="note", time=1, value="*hello*")
    parameter = TextPoint(site="a", tag="rate", time=1, value="0.1", kind=Kind.PARAMETER)

    assert files.write("job", [histogram, image, text, parameter]) == 0

    run = read_run(tmp_path / "job" / "a")
    assert set(run.Tags()["tensors"]) == {"note", "parameters/rate"}
    assert run.Tensors("note")[0].tensor_proto.string_val == [b"*hello*"]
    assert (run.Images("sample")[0].width, run.Images("sample")[0].height) == (1, 1)
    values = run.Histograms("weights")[0].histogram_value
    assert (values.num, list(values.bucket_limit), list(values.bucket)) == (7, [0, 1, 3], [0, 2, 5])


@pytest.mark.parametrize("site", ["../../etc", "/etc/passwd", "..", "a/b", "a\0b", "ä" * 200])
def test_no_site_name_can_escape_the_folder_of_the_job(files: EventFiles, tmp_path: Path, site: str) -> None:
    files.write("job", [scalar(site, 0)])

    (folder,) = (tmp_path / "job").iterdir()
    assert [child.name for child in tmp_path.iterdir()] == ["job"]
    assert list(folder.iterdir())


def test_the_size_of_a_jobs_files_is_limited(tmp_path: Path) -> None:
    files = EventFiles(tmp_path, server="s", max_job_bytes=2000)

    dropped = files.write("job", [scalar("site-1", step) for step in range(1000)])

    assert dropped > 900
    assert sum(file.stat().st_size for file in tmp_path.rglob("events*")) < 2200
    assert files.write("another", [scalar("site-1", 0)]) == 0
    again = EventFiles(tmp_path, server="s", max_job_bytes=2000)  # a restarted parent
    assert again.write("job", [scalar("site-1", 0)]) == 1


def test_the_number_of_tags_is_limited(files: EventFiles) -> None:
    assert files.write("job", [scalar("a", 0, tag=f"t{n}") for n in range(MAX_TAGS + 10)]) == 10
    assert files.write("job", [scalar("a", 1, tag="t0")]) == 0


def test_writing_continues_in_a_new_file_after_a_full_disk(
    files: EventFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    files.write("job", [scalar("site-1", 0)])
    with monkeypatch.context() as disk, pytest.raises(OSError, match="No space"):
        disk.setattr(files, "_append", full)
        files.write("job", [scalar("site-1", 1)])

    files.write("job", [scalar("site-1", 2)])

    assert [event.step for event in read_run(tmp_path / "job" / "site-1").Scalars("loss")] == [0, 2]
    assert len(list((tmp_path / "job" / "site-1").iterdir())) == 2
