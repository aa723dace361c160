"""The public part of a kit as the one layer of a site's image: same kit, same bytes, and never a key."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import InputError
from fl_app.contract import KIT_PATH

PUBLIC_FOLDERS = ("startup", "local")
SECRET_SUFFIXES = (".key", ".p12", ".pfx")
PRIVATE_KEY_MARK = b"PRIVATE KEY-----"


@dataclass(frozen=True)
class KitLayer:
    """A tar archive that unpacks to /etc/flare/kit.

    Args:
        content: its bytes.
    """

    content: bytes

    @property
    def digest(self) -> str:
        """Its SHA-256; a changed kit has another."""
        return hashlib.sha256(self.content).hexdigest()


def kit_layer(kit: Path, time: int) -> KitLayer:
    """Pack what may be seen of the startup kit `kit`.

    Args:
        kit: kits/NAME.
        time: what every file in it gets as its time, in seconds of Unix.

    Raises:
        InputError: the kit is incomplete, or something in it besides the known key files is or may be secret.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_header(KIT_PATH.relative_to("/").as_posix(), time, folder=True))
        for path in _public(kit):
            name = (KIT_PATH / path.relative_to(kit).as_posix()).relative_to("/").as_posix()
            if path.is_dir():
                tar.addfile(_header(name, time, folder=True))
                continue
            content = path.read_bytes()
            _refuse_secret(path, content)
            header = _header(name, time, executable=path.stat().st_mode & 0o100 != 0)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return KitLayer(stream.getvalue())


def _public(kit: Path) -> Iterator[Path]:
    """The files and folders of a kit that a site's image holds, in a fixed order."""
    for folder in PUBLIC_FOLDERS:
        if not (kit / folder).is_dir():
            raise InputError(
                f"{kit} is not a startup kit: {folder}/ is missing. Make it again: flarefleet provision"
            )
        yield kit / folder
        for path in sorted((kit / folder).rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError(
                    f"{path} is not a plain file: an image cannot carry it. Remove it from the kit."
                )
            if path.suffix not in SECRET_SUFFIXES:
                yield path


def _refuse_secret(path: Path, content: bytes) -> None:
    if PRIVATE_KEY_MARK in content:
        raise InputError(
            f"{path} holds a private key, and an image would carry it to everybody. Move it out of the kit: "
            "only server.key or client.key may lie there."
        )


def _header(name: str, time: int, *, folder: bool = False, executable: bool = False) -> tarfile.TarInfo:
    """Readable by everybody, whatever the umask of provisioning; owned by root."""
    header = tarfile.TarInfo(name)
    header.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    header.mode = 0o755 if folder or executable else 0o644
    header.mtime = time
    return header
