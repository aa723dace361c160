"""NVFlare's HEBuilder, which makes a context only if there is none to keep. Its import needs tenseal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nvflare.lighter.ctx import ProvisionContext
from nvflare.lighter.entity import Project as FlareProject
from nvflare.lighter.impl.he import HEBuilder

from deploy.provision.encryption_context import KINDS, MAX_BYTES, EncryptionContext
from fl_app.contract import context_file
from fl_app.files import PRIVATE_FILE


class KeptContextBuilder(HEBuilder):
    """Write the federation's context into each kit, with mode 0600."""

    def __init__(self, kept: EncryptionContext | None, state: Path, arguments: dict[str, Any]) -> None:
        super().__init__(**arguments)
        self._state = state
        self._arguments = arguments
        self._context_of_kits = kept
        self._is_new = kept is None

    def initialize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Make the context if there is none to keep."""
        if not self._is_new:
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
        self._context_of_kits = EncryptionContext(self._arguments, contents)

    def get_serialized_context(self, is_client: bool = False) -> bytes:
        """Return the content of the context's file."""
        assert self._context_of_kits is not None
        return self._context_of_kits.contents["client" if is_client else "server"]

    def build(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Write the context into the kits of the server and the clients."""
        super().build(project, ctx)
        for participant in (project.get_server(), *project.get_clients()):
            Path(ctx.get_kit_dir(participant), context_file(participant.type)).chmod(PRIVATE_FILE)

    def finalize(self, project: FlareProject, ctx: ProvisionContext) -> None:
        """Save a new context."""
        if self._is_new:
            assert self._context_of_kits is not None
            self._context_of_kits.write(self._state)
