"""The digests of pushed images, state/pushed.json. Release folders name such an image by its digest."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from deploy.workspace import Workspace
from deploy.workspace_files import locked, make_private, os_errors_explained
from fl_app.files import PRIVATE_FILE, write_atomically

PUSHED = "pushed.json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of each pushed image by its name with tag; a name with another tag has none."""
    try:
        content = json.loads((workspace.state / PUSHED).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    items = content.items() if isinstance(content, dict) else ()
    return {name: digest for name, digest in items if _DIGEST.fullmatch(str(digest))}


def record_digests(workspace: Workspace, digests: Mapping[str, str]) -> None:
    """Add the digests of pushed images to those of earlier pushes.

    Raises:
        MachineError: the workspace cannot be written or is locked by another process.
    """
    with os_errors_explained(workspace), locked(workspace):
        make_private(workspace.state)
        content = json.dumps(read_digests(workspace) | dict(digests), indent=1)
        write_atomically(workspace.state / PUSHED, content.encode(), PRIVATE_FILE)
