"""Make torchvision's CUDA build importable beside PyTorch's CPU build, for tests alone.

Test machines have no other pair of wheels. The module declares torchvision's compiled operators without
implementing them; SmolVLA uses none. `tests.vla.environment` installs this file, and a .pth file imports it.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

OPERATORS = (
    *("nms", "qnms", "roi_align", "_roi_align_backward", "ps_roi_align", "_ps_roi_align_backward"),
    *("roi_pool", "_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward"),
    *("deform_conv2d", "_deform_conv2d_backward"),
)


class BeforeTorchvision(MetaPathFinder):
    """Declares the operators at the first import of torchvision."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for operator in OPERATORS:
                self.library.define(f"{operator}(Tensor a, *, int unused=0) -> Tensor")
            KEPT.append(self)


KEPT: list[BeforeTorchvision] = []
"""Keeps the library, whose operators are deleted with it."""

sys.meta_path.insert(0, BeforeTorchvision())
