"""Which extras the images of a variant can have, and which of them one image can have together."""

from __future__ import annotations

from collections.abc import Collection

VLA = "vla"
"""lerobot; it excludes the torch of all other images."""


def extras_fault(extras: Collection[object], variant: object) -> str | None:
    """What is wrong with images of these extras, and what would be right; None if nothing is."""
    if VLA not in extras:
        return None
    if len(set(extras)) > 1:
        return (
            f"{VLA} stands alone: lerobot and Flower are locked in versions of their own; an image holds one "
            f"of them; write extras: [{VLA}], and give Flower jobs a federation of their own"
        )
    if variant == "cpu":
        return (
            f"{VLA} is for variant: gpu, whose images run without a GPU as well (PyPI has no CPU build of "
            "the torch that lerobot takes); write variant: gpu"
        )
    return None


def to_write(have: Collection[str], lacking: Collection[str]) -> str:
    """What to write under deployment.image for images to have `lacking`, and what they have if that goes."""
    together = {*have, *lacking}
    extras = lacking if extras_fault(together, "gpu") else together
    text = f"extras: [{', '.join(sorted(extras))}]"
    return f"variant: gpu and {text}" if VLA in extras else text
