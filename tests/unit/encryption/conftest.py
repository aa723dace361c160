"""Federations of NVFlare's HEBuilder, with a stand-in for tenseal, which .venv lacks.

tests/examples uses tenseal itself. The stand-in makes contexts of the same kind: other bytes each time, and a
server's context that grows with the arguments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.provision.federation import LIGHTER, Federation

HE = f"{LIGHTER}.he.HEBuilder"
IMPORTS_TENSEAL = (f"{LIGHTER}.he", "deploy.provision.kept_context_builder")


class Context:
    """A context of tenseal."""

    def __init__(self, poly_modulus_degree: int) -> None:
        self._degree = poly_modulus_degree
        self.global_scale = 0.0

    def generate_relin_keys(self) -> None:
        pass

    def serialize(self, *, save_secret_key: bool, **_: bool) -> bytes:
        return os.urandom(self._degree * (20 if save_secret_key else 80))


def context(scheme: str, *, poly_modulus_degree: int, **_: Any) -> Context:
    if poly_modulus_degree & (poly_modulus_degree - 1):
        raise ValueError("encryption parameters are not set correctly")
    return Context(poly_modulus_degree)


@pytest.fixture(autouse=True, scope="package")
def tenseal() -> Iterator[None]:
    """Let HEBuilder import the stand-in."""
    module = ModuleType("tenseal")
    vars(module).update(
        SCHEME_TYPE=SimpleNamespace(CKKS="ckks", BFV="bfv"),
        ENCRYPTION_TYPE=SimpleNamespace(SYMMETRIC="symmetric"),
        context=context,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tenseal", module)
        for name in IMPORTS_TENSEAL:
            patch.delitem(sys.modules, name, raising=False)
        yield
    for name in IMPORTS_TENSEAL:
        sys.modules.pop(name, None)


@pytest.fixture(scope="package")
def untouched(tmp_path_factory: pytest.TempPathFactory, tenseal: None) -> Federation:
    """A provisioned federation with two sites, shared and read-only."""
    federation = Federation(tmp_path_factory.mktemp("encrypted"), "site-1", "site-2")
    federation.document["builders"].insert(3, {"path": HE})
    federation.provision()
    return federation


@pytest.fixture
def federation(untouched: Federation, tmp_path: Path) -> Federation:
    """A copy of it."""
    subprocess.run(["cp", "-a", untouched.folder / "workspace", tmp_path], check=True)
    return untouched.copy_to(tmp_path)
