"""A job that has not loaded torch by its end is not made to: NVFlare's server looks at the end of every
workflow whether downloads of tensors are left to clean up, and loads torch, for a second or two, to ask.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = "nvflare.app_opt.pt"
"""NVFlare's part for PyTorch, which loads torch."""
CLEAN_UP = "_cleanup_inflight_tensor_downloads"
"""The function of NVFlare's WFCommServer that asks; it takes an ImportError for «there is no torch here»."""


class NoTorchAtTheEnd(MetaPathFinder):
    """Answers that one question with an ImportError where torch is not loaded: then there are no tensors."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave every other import to Python.

        Raises:
            ModuleNotFoundError: NVFlare would load torch to learn that there is nothing to clean up.
        """
        if fullname == PACKAGE and "torch" not in sys.modules and _is_clean_up():
            raise ModuleNotFoundError(f"{PACKAGE}: no tensor was loaded, so none is left", name=fullname)
        return None


def _is_clean_up() -> bool:
    return any(frame.f_code.co_name == CLEAN_UP for frame, _ in traceback.walk_stack(None))
