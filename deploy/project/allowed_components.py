"""Classes that a job without code of its own may use on the server and at sites.

NVFlare checks each component of such a job against the `class_allow_list` of the kit. It does not check an
app that carries code in a folder custom/, which needs the right `byoc`.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploy.project.models import Project

DEFAULT = (
    "fl_app.",
    "nvflare.metrics.",
    # NVFlare's recipes use these classes, but its list lacks them.
    "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor",
    "nvflare.app_opt.pt.fedce.FedCEModelAggregator",
)
"""Allowed in every federation, in addition to NVFlare's list.

Two classes of NVFlare's recipes are missing, because they run code that the job brings elsewhere than in
custom/: JoblibModelParamPersistor unpickles a file of the job, ClientAPIExecutor runs any command.
"""


def kit_classes(project: Project | None) -> tuple[str, ...]:
    """Return what a kit adds to NVFlare's list, each entry once; without a project, only the default."""
    return tuple(dict.fromkeys((*DEFAULT, *(project.allowed_components if project else ()))))


def allowed_classes(project: Project | None) -> tuple[str, ...]:
    """Return the complete `class_allow_list` of the kits of `project`."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST

    return (*DEFAULT_CLASS_ALLOW_LIST, *kit_classes(project))


def is_allowed(path: str, allowed: Iterable[str]) -> bool:
    """Return whether a class is in the list, itself or through a package, by NVFlare's rule."""
    return any(path == entry or path.startswith(f"{entry.rstrip('.')}.") for entry in allowed)
