"""Extras of images: which variants support them, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Collection

VLA = "vla"
"""lerobot. It requires another torch than the other images have."""
HE = "he"
"""tenseal, for homomorphic encryption. The images of a federation with HEBuilder always have it."""
_JOBS = {"flower": "Flower", HE: "homomorphic encryption"}
"""What the jobs are about that need an extra which excludes vla."""
_WITHOUT_HE = "remove HEBuilder from builders"


def extras_error(extras: Collection[object], variant: object) -> str | None:
    """Return what is wrong with this combination of extras and variant, and the remedy; None if valid."""
    if VLA not in extras:
        return None
    if len(set(extras)) > 1:
        remedy = f"write extras: [{VLA}], "
        if HE in extras:
            remedy += f"{_WITHOUT_HE}, "
        return (
            f"{VLA} excludes other extras: lerobot and Flower require different versions of their "
            f"dependencies, and images with lerobot have no tenseal; {remedy}and run jobs of "
            f"{' and '.join(name for extra, name in _JOBS.items() if extra in extras)} in another federation"
        )
    if variant == "cpu":
        return (
            f"{VLA} requires variant: gpu, because PyPI has no CPU build of lerobot's torch; write variant: "
            "gpu (these images also run without a GPU)"
        )
    return None


def setting_for(present: Collection[str], missing: Collection[str]) -> str:
    """Return the settings of project.yml that add `missing` to the images, and keep `present`.

    Extras that exclude the missing ones are left out.
    """
    together = {*present, *missing}
    extras = missing if extras_error(together, "gpu") else together
    text = f"extras: [{', '.join(sorted(extras))}]"
    if VLA not in extras:
        return f"{text} under deployment.image"
    return f"variant: gpu and {text} under deployment.image" + (f", {_WITHOUT_HE}" if HE in present else "")
