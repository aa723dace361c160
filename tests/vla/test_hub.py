"""Publishing a policy on a fake hub. Runs in .venv-vla."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="runs in .venv-vla: make vla")

import huggingface_hub.constants

from fl_app.jobs.fedprox_vla.hub import TOKEN, HubError, HubRepository
from tests.vla.fake_hub import FakeHub

GOOD = "hf_good"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    stand_in = FakeHub(GOOD)
    _point_to(stand_in.url, monkeypatch)
    yield stand_in
    stand_in.close()


def _point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change the endpoint, as HF_ENDPOINT does before huggingface_hub is imported."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )


def test_a_missing_repository_is_created_as_private(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x00\x01" * 500)
    repository = HubRepository("lab/arm", token=GOOD)

    repository.prepare()
    where = repository.push(tmp_path, "after 3 rounds")

    assert hub.repositories["lab/arm"]["model.safetensors"] == b"\x00\x01" * 500
    assert hub.private["lab/arm"]
    assert where.startswith(hub.url)


def test_an_existing_repository_is_used(hub: FakeHub) -> None:
    HubRepository("lab/arm", token=GOOD).prepare()
    HubRepository("lab/arm", token=GOOD).prepare()

    assert list(hub.repositories) == ["lab/arm"]


@pytest.mark.parametrize(
    ("token", "may_write", "reason"),
    [
        ("hf_bad", True, r"did not accept the token of HF_TOKEN: .*"),
        (GOOD, False, r"did not create the repository lab/arm: .*right to write there"),
    ],
)
def test_a_refusal_is_reported_without_the_token(
    hub: FakeHub, token: str, may_write: bool, reason: str
) -> None:
    hub.may_write = may_write

    with pytest.raises(HubError, match=reason) as error:
        HubRepository("lab/arm", token=token).prepare()

    assert token not in str(error.value)
    assert not hub.repositories


def test_a_missing_token_is_reported_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)

    with pytest.raises(HubError, match=r"the server has no HF_TOKEN\. Set it"):
        HubRepository("lab/arm")


def test_an_unreachable_hub_is_reported_with_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = FakeHub(GOOD)
    stand_in.close()
    _point_to(stand_in.url, monkeypatch)

    with pytest.raises(HubError, match=stand_in.url):
        HubRepository("lab/arm", token=GOOD).prepare()
