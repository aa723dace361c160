"""A job's pod in a fake cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fl_app.launchers.job_pod import Callbacks, JobPod
from fl_app.launchers.namespace import RejectedError
from fl_app.launchers.pod_failure import StartTimeouts
from fl_app.launchers.restarts import RestartBudget, Restarts
from tests.unit.launchers.test_manifest import PLAN


@dataclass
class Namespace:
    """A fake JobNamespace whose pod has each of `states` in turn.

    A state that is a function is called; a state that is None is a pod that was deleted.
    """

    states: list[Any] = field(default_factory=list)
    rejection: str = ""
    warnings: list[Any] = field(default_factory=list)
    objects: set[str] = field(default_factory=set)
    uids: list[str] = field(default_factory=list)
    """Uids of the pods that were created."""

    def create_secret(self, body: dict[str, Any]) -> None:
        self.objects.add(f"secret/{body['metadata']['name']}")

    def create_pod(self, body: dict[str, Any], secret: str) -> str:
        assert f"secret/{secret}" in self.objects, "the pod needs its Secret"
        if self.rejection:
            raise RejectedError(self.rejection)
        self.objects.add(f"pod/{body['metadata']['name']}")
        self.uids.append(f"uid-{len(self.uids) + 1}")
        return self.uids[-1]

    def watch_pod(self, name: str, uid: str, seconds: int) -> Iterator[Any]:
        assert uid == self.uids[-1]
        state = self.states.pop(0)
        yield state() if callable(state) else state

    def pod_events(self, name: str) -> list[Any]:
        return self.warnings

    def delete_pod(self, name: str) -> None:
        self.objects.discard(f"pod/{name}")

    def delete_secret(self, name: str) -> None:
        self.objects.discard(f"secret/{name}")

    def pause(self) -> None:
        raise AssertionError("watching the pod failed")


@dataclass
class Reported:
    """Calls of the callbacks of a job pod."""

    pending: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    error_output: list[str] = field(default_factory=list)
    finished: int = 0
    secrets: int = field(default=0, compare=False)

    def new_secret(self, body: dict[str, Any]) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            self.secrets += 1
            return body

        return make

    def finish(self) -> None:
        self.finished += 1


def launched(
    namespace: Namespace,
    reported: Reported,
    keep: float = 0.0,
    restarts: Restarts | None = None,
    is_server: bool = False,
) -> JobPod:
    container = {"name": "job", "resources": {"limits": {"memory": "4Gi"}}}
    body = {"metadata": {"name": PLAN.name}, "spec": {"containers": [container]}}
    made = JobPod(
        namespace,  # type: ignore[arg-type]
        plan=PLAN,
        pod=body,
        secret=reported.new_secret(body),
        timeouts=StartTimeouts(60, None),
        keep=keep,
        restarts=restarts or Restarts(None, PLAN.job_id, "north", budget=RestartBudget(limit=0)),
        callbacks=Callbacks(
            reported.pending.append, reported.failures.append, reported.error_output.append, reported.finish
        ),
        is_server=is_server,
    )
    made.start()
    return made
