"""Install the context of homomorphic encryption from a kit of NVFlare's HEBuilder.

The site's context holds the secret key of the federation, so it is linked from where the private key is.
NVFlare uses only a signed context. It would also compare the rest of startup/ with signature.json, but the
installation changes some of these files, and job pods have a disposable key. Therefore the workspace has only
the signature of the context, in a file of its own; see `fl_app.launchers.encryption_context`.
"""

from __future__ import annotations

import json
from pathlib import Path

from nvflare.fuel.sec.security_content_service import LoadResult, SecurityContentManager

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Kit, check_readable
from fl_app.contract import CONTEXT_SIGNATURE, context_file
from fl_app.files import PRIVATE_FILE, write_atomically

SIGNATURES = "signature.json"
"""NVFlare's file in startup/ and local/ of a kit of HEBuilder."""


def install_context(kit: Kit, startup: Path) -> None:
    """Link the kit's context into the folder `startup` of a workspace, if the kit has one, and verify it.

    Raises:
        StartupError: the context is missing or unreadable, or the federation's authority did not sign it.
    """
    name = context_file(kit.facts.role)
    signature = _signature_of(kit.startup / SIGNATURES, name)
    if signature is None:
        return
    context = kit.key.with_name(name)
    if not context.exists() and (included := kit.startup / name).exists():
        context = included
    check_readable(context, Exit.KEY, "put the key of homomorphic encryption there, beside the private key")
    (startup / name).symlink_to(context)
    write_atomically(startup / CONTEXT_SIGNATURE, json.dumps({name: signature}).encode(), PRIVATE_FILE)
    _, result = SecurityContentManager(str(startup), CONTEXT_SIGNATURE).load_content(name)
    if result is not LoadResult.OK:
        raise StartupError(
            Exit.KEY,
            f"{context} is not the key of homomorphic encryption that {kit.startup / SIGNATURES} describes: "
            "one of them is older or belongs to another federation; use both from one kit of "
            f"{kit.facts.name}",
        )


def _signature_of(file: Path, name: str) -> str | None:
    try:
        found = json.loads(file.read_bytes()).get(name)
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError) as error:
        raise StartupError(Exit.KIT, f"{file} is invalid; provision again: flarefleet provision") from error
    return None if found is None else str(found)
