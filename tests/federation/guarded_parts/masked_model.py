"""A PyTorch model with a constant that is infinite; NVFlare packs this module into the job."""

import torch


class MaskedModel(torch.nn.Module):
    """Four zeros, and an attention mask that holds -inf."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.zeros(4))
        self.register_buffer("mask", torch.full((3, 3), float("-inf")).triu(diagonal=1))
