"""Extras of images: which variants support them, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Collection

VLA = "vla"
"""lerobot. It requires another torch than the other images have."""
HE = "he"
"""tenseal, for homomorphic encryption. The images of a federation with HEBuilder always have it."""


def extras_error(extras: Collection[object], variant: object) -> str | None:
    """Return what is wrong with this combination of extras and variant, and the remedy; None if valid."""
    if VLA not in extras:
        return None
    if len(set(extras)) > 1:
        others = "homomorphic encryption" if HE in extras else "Flower"
        return (
            f"{VLA} excludes other extras: lerobot and Flower require different versions of their "
            f"dependencies, and images with lerobot have no tenseal; write extras: [{VLA}], and run jobs of "
            f"{others} in another federation"
        )
    if variant == "cpu":
        return (
            f"{VLA} requires variant: gpu, because PyPI has no CPU build of lerobot's torch; write variant: "
            "gpu (these images also run without a GPU)"
        )
    return None


def setting_for(present: Collection[str], missing: Collection[str]) -> str:
    """Return the setting under deployment.image that adds `missing` to the images, and keeps `present`.

    Extras that exclude the missing ones are left out.
    """
    together = {*present, *missing}
    extras = missing if extras_error(together, "gpu") else together
    text = f"extras: [{', '.join(sorted(extras))}]"
    return f"variant: gpu and {text}" if VLA in extras else text
