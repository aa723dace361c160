"""The file of a backup: encrypted, verified, and refused with the reason when it is unusable."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.backup import encryption
from deploy.errors import InputError

PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "is truncated: it has"),
        (lambda content: content[: len(content) // 2], "is truncated: it has"),
        (lambda content: content[:200], "is truncated|header is invalid"),
        (
            lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
            "is damaged: its checksum",
        ),
        (lambda content: content + b"\0", "is damaged: its checksum"),
        (lambda content: content.replace(b'"created":"2', b'"created":"3'), "is damaged: its checksum"),
        (lambda content: content.replace(b'"kdf":"scrypt"', b'"kdf":"md5"'), "is damaged: its header"),
        (lambda content: content.replace(b"backup 1", b"backup 2"), "has version '2' of the format"),
        (lambda content: b"PK\x03\x04" + content, "is not a backup of Flarefleet"),
        (lambda content: b"", "is not a backup of Flarefleet"),
    ],
)
def test_an_unusable_file_is_refused_with_its_reason(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    file = tmp_path / "backup"
    made = encryption.encrypt(b"x" * 300, PASSPHRASE, project="p", created="2026", flarefleet="1")
    file.write_bytes(made)
    assert encryption.decrypt(file, PASSPHRASE)[1] == b"x" * 300
    file.write_bytes(damage(made))

    with pytest.raises(InputError, match=message):
        encryption.decrypt(file, PASSPHRASE)


def test_a_new_backup_makes_each_attempt_at_its_passphrase_expensive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    made = encryption.encrypt(b"", PASSPHRASE, project="p", created="2026", flarefleet="1")

    header = json.loads(made.splitlines()[1])

    assert 128 * header["n"] * header["r"] >= 128 * 2**20  # bytes of memory
