"""Registrations of a site: which process the server accepts, and when a site gives up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext

from fl_app.survival import one_process, stopping
from fl_app.survival.limits import LATE_SECONDS
from fl_app.survival.one_process import (
    IDENTITY_FILE,
    IDENTITY_KEY,
    OneProcessPerSite,
    SiteIdentity,
    workspace_identity,
)


class Server:
    """A server with the registrations of NVFlare and the part under test."""

    def __init__(self) -> None:
        self.name_to_clients: dict[str, Any] = {}
        self.client_manager = self
        self.part = OneProcessPerSite()

    def event(self, event_type: str, identity: str | None) -> FLContext:
        peer, context = FLContext(), FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, "north", private=False)
        if identity:
            peer.set_prop(IDENTITY_KEY, identity, private=False)
        context.set_peer_context(peer)
        context.get_engine = lambda: self  # type: ignore[method-assign]
        self.part.handle(event_type, context)
        return context

    def register(self, identity: str | None) -> bool:
        """Register a process as NVFlare does, and return whether the server accepted it."""
        if self.event(EventType.CLIENT_REGISTER_RECEIVED, identity).get_prop(FLContextKey.EXCEPTIONS):
            return False
        self.hear(token=f"token-{time.monotonic_ns()}")
        self.event(EventType.CLIENT_REGISTER_PROCESSED, identity)
        return True

    def hear(self, token: str) -> None:
        self.name_to_clients["north"] = SimpleNamespace(token=token, last_connect_time=time.time())

    def age(self, seconds: float) -> None:
        self.name_to_clients["north"].last_connect_time -= seconds


def test_a_second_process_is_refused_until_the_first_is_silent() -> None:
    server = Server()
    assert server.register("first")

    assert not server.register("second")
    server.age(LATE_SECONDS + 1)
    assert server.register("second")
    assert not server.register("first")


def test_a_process_that_was_started_again_in_its_workspace_is_accepted_at_once() -> None:
    server = Server()
    server.register("first")

    assert server.register("first")


def test_a_process_is_accepted_after_the_other_logged_out() -> None:
    server = Server()
    server.register("first")
    server.name_to_clients.clear()

    assert server.register("second")


def test_a_restarted_server_knows_a_process_by_its_heartbeats() -> None:
    server = Server()
    server.hear(token="of the last server")
    server.event(EventType.CLIENT_HEARTBEAT_PROCESSED, "first")

    assert not server.register("second")
    assert server.register("first")


def test_a_failed_registration_does_not_change_who_is_known() -> None:
    server = Server()
    server.register("first")

    server.event(EventType.CLIENT_REGISTER_PROCESSED, "second")

    assert server.register("first")
    assert not server.register("second")


def test_a_process_without_an_identity_is_left_to_nvflare() -> None:
    server = Server()
    server.register("first")

    assert server.register(None)


def test_a_workspace_keeps_its_identity_and_replaces_an_invalid_one(tmp_path: Path) -> None:
    file = tmp_path / IDENTITY_FILE
    first = workspace_identity(file)
    assert workspace_identity(file) == first
    assert file.stat().st_mode & 0o777 == 0o600

    file.write_text("")
    assert workspace_identity(file) not in ("", first)


def test_a_site_whose_registration_another_process_has_ends_with_a_new_identity(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refuse: list[Callable[[str], None]] = []
    site = SimpleNamespace(follow_heartbeats=lambda accepted, refused: refuse.append(refused))
    monkeypatch.setattr(one_process, "SiteParent", SimpleNamespace)
    monkeypatch.setattr(one_process, "parent_of", lambda _: site)
    reasons: list[str] = []
    monkeypatch.setattr(stopping, "_withdraw", reasons.append)
    monkeypatch.setattr(stopping, "announce_end", lambda: None)
    context, part = FLContext(), SiteIdentity()
    workspace = SimpleNamespace(get_root_dir=lambda: str(tmp_path))
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True)
    part.handle(EventType.BEFORE_CLIENT_REGISTER, context)
    identity = context.get_prop(IDENTITY_KEY)
    part.handle(EventType.AFTER_CLIENT_REGISTER, context)

    refuse[0]("Client 'north' is disabled")
    assert reasons == []
    refuse[0]("Client ID already registered as a client: north")

    assert reasons == ["Client ID already registered as a client: north"]
    assert workspace_identity(tmp_path / IDENTITY_FILE) != identity
