"""NVFlare's HEBuilder, which makes a context only if the state folder has none. Its import needs tenseal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.impl.he import HEBuilder

from deploy.provision.encryption_context import KINDS, MAX_BYTES, EncryptionContext, read_context
from fl_app.contract import context_file
from fl_app.files import PRIVATE_FILE


class KeptContextBuilder(HEBuilder):
    """Write the federation's context into each kit, with mode 0600."""

    def __init__(self, state: Path, arguments: dict[str, Any]) -> None:
        super().__init__(**arguments)
        self._state = state
        self._arguments = arguments
        self._kept: EncryptionContext | None = None

    def initialize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Read the context, or make it if there is none for these arguments."""
        kept = read_context(self._state)
        if kept is not None and kept.arguments == self._arguments:
            self._kept = kept
            return
        super().initialize(project, ctx)
        contents = {
            kind: super(KeptContextBuilder, self).get_serialized_context(is_client=kind == "client")
            for kind in KINDS
        }
        size = max(map(len, contents.values()))
        if size > MAX_BYTES:
            raise ValueError(
                f"the context has {size:,} bytes, and a Kubernetes Secret holds at most {MAX_BYTES:,}; use "
                "a lower poly_modulus_degree or fewer coeff_mod_bit_sizes (NVFlare's defaults are 8192 and "
                "[60, 40, 40])"
            )
        self._kept = EncryptionContext(self._arguments, contents)

    def get_serialized_context(self, is_client: bool = False) -> bytes:
        """Return the kept context."""
        assert self._kept is not None
        return self._kept.contents["client" if is_client else "server"]

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Write the context into the kits of the server and the clients."""
        super().build(project, ctx)
        for participant in (project.get_server(), *project.get_clients()):
            Path(ctx.get_kit_dir(participant), context_file(participant.type)).chmod(PRIVATE_FILE)

    def finalize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Save the context."""
        assert self._kept is not None
        self._kept.write(self._state)
