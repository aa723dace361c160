"""The layer of a site's image: the public part of its kit. The same kit gives the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import InputError
from deploy.secret_files import has_secret_name, refuse_private_key
from deploy.workspace import KIT_FOLDERS
from fl_app.contract import KIT_PATH


def kit_layer(kit: Path, time: int) -> bytes:
    """Pack the public part of a startup kit as a tar archive that unpacks to /etc/flare/kit.

    Args:
        time: modification time of every file, in seconds since 1970.

    Raises:
        InputError: the kit is incomplete, or it holds a link or a private key in a file of another name.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(_header(KIT_PATH.relative_to("/").as_posix(), time, folder=True))
        for path in _public_files(kit):
            name = (KIT_PATH / path.relative_to(kit).as_posix()).relative_to("/").as_posix()
            if path.is_dir():
                tar.addfile(_header(name, time, folder=True))
                continue
            content = path.read_bytes()
            refuse_private_key(path, content)
            header = _header(name, time, executable=path.stat().st_mode & 0o100 != 0)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def _public_files(kit: Path) -> Iterator[Path]:
    """Yield the public files and folders of a kit in a fixed order."""
    for folder in KIT_FOLDERS:
        if not (kit / folder).is_dir():
            raise InputError(f"{kit} is not a startup kit: {folder}/ is missing. Run: flarefleet provision")
        yield kit / folder
        for path in sorted((kit / folder).rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise InputError(
                    f"{path} is not a plain file, so images cannot hold it. Remove it from the kit."
                )
            if not has_secret_name(path):
                yield path


def _header(name: str, time: int, *, folder: bool = False, executable: bool = False) -> tarfile.TarInfo:
    """Return the header of a file that root owns and everyone can read, regardless of the kit's modes."""
    header = tarfile.TarInfo(name)
    header.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    header.mode = 0o755 if folder or executable else 0o644
    header.mtime = time
    return header
