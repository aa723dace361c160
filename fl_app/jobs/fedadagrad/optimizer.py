"""The server's optimizer under names of the kit: a job may have NVFlare build its classes, but not those of
torch."""

from torch.optim import Adagrad
from torch.optim.lr_scheduler import ConstantLR

__all__ = ["Adagrad", "ConstantLR"]
