"""Lets torchvision's CUDA build be imported beside PyTorch's CPU build, for tests alone: the only pair of
wheels that can be had on our test machines. Its compiled operators are declared and not there; SmolVLA needs
none of them. `tests.vla.environment` puts this file into the environment, where a .pth file imports it.
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
    """Declares the operators when torchvision is first asked for, and finds nothing."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for operator in OPERATORS:
                self.library.define(f"{operator}(Tensor a, *, int unused=0) -> Tensor")
            KEPT.append(self)


KEPT: list[BeforeTorchvision] = []
"""A library's operators go with it."""

sys.meta_path.insert(0, BeforeTorchvision())
