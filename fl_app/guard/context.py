"""What the guard reads from the contexts of NVFlare's events, and changes in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.finding import refusal


def sender_of(fl_ctx: FLContext) -> str:
    """Return the site that sent the current message."""
    peer = fl_ctx.get_peer_context()
    return str(peer.get_identity_name()) if peer is not None else ""


def is_aborted(fl_ctx: FLContext) -> bool:
    """Return whether the job was aborted, or has failed."""
    signal = fl_ctx.get_prop(ReservedKey.RUN_ABORT_SIGNAL)
    return signal is not None and bool(signal.triggered)


def current_round(fl_ctx: FLContext) -> int | None:
    """Return the round that the workflow announces, from 1; None if it announces none."""
    number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
    return number + 1 if isinstance(number, int) else None


def job_meta(fl_ctx: FLContext) -> dict[str, Any]:
    """Return the meta.json of the job that runs; empty if it cannot be read."""
    file = fl_ctx.get_engine().get_workspace().get_job_meta_path(fl_ctx.get_job_id())
    try:
        return dict(json.loads(Path(file).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def global_model(fl_ctx: FLContext) -> Mapping[str, Any] | None:
    """Return the parameters of the global model that the workflow announces."""
    model = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)
    parameters = model.get(ModelLearnableKey.WEIGHTS) if isinstance(model, Mapping) else None
    return parameters if isinstance(parameters, Mapping) else None


def replace_by_refusal(result: Shareable, reason: str) -> None:
    """Replace an unusable result by an error, and keep the headers by which NVFlare finds the task."""
    headers = dict(result.get(ReservedHeaderKey.HEADERS) or {})
    reply = refusal(reason)
    result.clear()
    result.update(reply)
    result[ReservedHeaderKey.HEADERS] = {**headers, **reply[ReservedHeaderKey.HEADERS]}
