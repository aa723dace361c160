"""Collect the bundle of an administrator, such as a data scientist, from the startup kit alone."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from io import StringIO
from pathlib import Path

from deploy.bundle.archive import Bundle
from deploy.bundle.known_secrets import KnownSecrets
from deploy.bundle.machine import listing, versions
from deploy.bundle.redaction import Redaction
from deploy.doctor.examination import as_documents
from deploy.doctor.handed_out import admin_groups
from deploy.errors import InputError
from deploy.session.kit import kit_folder

SETTINGS = ("startup/fed_admin.json", "local/*.json", "local/*.json.default")


def collect_admin(folder: Path) -> Bundle:
    """Collect versions, settings, the doctor's findings, what the server says, and the log of this session.

    Args:
        folder: the kit, or the release folder that contains it.

    Raises:
        InputError: there is no startup kit of an administrator.
    """
    kit = kit_folder(folder)
    if kit is None:
        raise InputError(
            f"{folder} has no startup kit of an administrator: startup/fed_admin.json is missing"
        )
    known = KnownSecrets()
    known.add_environment(os.environ)
    known.add_folder(kit)
    bundle = Bundle(
        f"the administrator of {kit.absolute()}",
        Redaction(known.values, known.key_lines),
        problems=known.problems,
    )
    bundle.collect("versions", lambda: bundle.add_document("versions.json", versions()))
    bundle.collect("files", lambda: bundle.add_text("files.txt", listing(kit)))
    for file in (file for pattern in SETTINGS for file in sorted(kit.glob(pattern))):
        bundle.collect(file.name, partial(_add_settings, bundle, file, file.relative_to(kit)))
    bundle.collect("doctor", lambda: bundle.add_document("doctor.json", as_documents(admin_groups(kit))))
    log = StringIO()
    with _recorded(log):
        bundle.collect("session", lambda: _add_session(bundle, kit))
    bundle.add_text("logs/session.txt", log.getvalue())
    return bundle


def _add_settings(bundle: Bundle, file: Path, name: Path) -> None:
    bundle.add_document(f"{name}", json.loads(file.read_text(encoding="utf-8")))


def _add_session(bundle: Bundle, folder: Path) -> None:
    """Log in, and add what the server says about the federation and its jobs."""
    from deploy.session import AdminKit, open_session

    with open_session(AdminKit.read(folder)) as session:
        bundle.collect("status", lambda: bundle.add_document("status.json", asdict(session.federation())))
        bundle.collect(
            "jobs", lambda: bundle.add_document("jobs.json", [asdict(job) for job in session.jobs()])
        )


@contextmanager
def _recorded(log: StringIO) -> Iterator[None]:
    """Write what NVFlare logs meanwhile, which commands discard, to `log`."""
    root, handler = logging.getLogger(), logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
