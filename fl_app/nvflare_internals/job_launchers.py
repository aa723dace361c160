"""The launcher of job pods."""

from __future__ import annotations

from typing import Any

USES = {
    "nvflare.app_opt.job_launcher.k8s_launcher:K8sJobLauncher._resolve_study_runtime": (
        "find the pod template of a job's study"
    ),
}


def study_runtime(launcher: Any, workspace_root: str, study: str | None) -> Any | None:
    """Return the image and pod template of a study, or None if study_runtime.yaml is missing.

    Args:
        launcher: a K8sJobLauncher.
        workspace_root: folder whose local/ holds study_runtime.yaml.
        study: name of the study; None is the default study.
    """
    return launcher._resolve_study_runtime(workspace_root, study)
