"""Rounds that do not wait for every site: a quorum of answers is enough.

NVFlare's export needs every argument of a controller by name, or `*args, **kwargs` besides further ones, as
QuorumFedAvg has them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.guard import report
from fl_app.guard.outcome import missing_in_round
from fl_app.jobs.parameters import QUORUM_GRACE_SECONDS
from fl_app.nvflare_internals.guard import answered_sites
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_liveness import job_liveness_of

MAX_UNUSABLE = 2
"""How often a round is repeated although all sites that live have answered it, without a usable result."""
_NEVER = 10**9
"""Seconds: this controller, and not NVFlare, ends the wait for the other sites."""


class QuorumRounds:
    """End a round when all sampled sites have answered, or when a quorum has and a grace period has passed.

    Sampled are all sites of the job that give signs of life. A site that is away takes part again in the
    first round after it is back. Below quorum a round is not aggregated: sites that have not answered it yet
    are asked again.

    A mixin for NVFlare's FedAvg controllers: name it directly before FedAvg among the bases, and set the two
    attributes, which must be arguments of the constructor.
    """

    quorum: int
    """Number of results that end a round; 0 for those of all sites."""
    quorum_grace: float
    """Seconds for which the round then waits for the other sites."""

    def sample_clients(self, num_clients: int | None = None) -> list[str]:
        """Return the sites that give signs of life, or all if they are fewer than the quorum."""
        if not self.quorum:
            return list(super().sample_clients(num_clients))  # type: ignore[misc] # of the controller
        sites = self._sites()
        living = [site for site in sites if site not in self._late()]
        return living if len(living) >= self.quorum else sites

    def send_model(
        self,
        *args: Any,
        data: FLModel,
        targets: Any = None,
        callback: Callable[[FLModel], Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send the model, and wait until the round has its quorum or the job is aborted."""
        options = {"data": data, **options}
        if not self.quorum:
            return super().send_model(*args, targets=targets, callback=callback, **options)  # type: ignore[misc]
        # NVFlare would end the job at an error of a site that the quorum needs; the site is asked again.
        if self._ignore_result_error is None:  # type: ignore[has-type]
            self._ignore_result_error = True
        self._accepted: set[str] = set()
        self._unusable: set[str] = set()
        self._is_announced = False
        unusable = 0

        def accept(result: FLModel) -> bool:
            is_accepted = callback is None or callback(result) is not False
            if is_accepted:
                self._accepted.add(str((result.meta or {}).get("client_name")))
            return is_accepted

        while not self._is_aborted():
            missing = self.quorum - len(self._accepted)
            self.broadcast_model(  # type: ignore[attr-defined]
                targets=targets,
                min_responses=max(1, min(missing, len(targets))),
                wait_time_after_min_received=_NEVER,
                blocking=False,
                callback=accept,
                **options,
            )
            was_cancelled = self._wait(targets)
            if self._is_aborted():
                return None
            if len(self._accepted) >= self.quorum:
                break
            unusable += not was_cancelled
            if unusable > MAX_UNUSABLE:
                self.panic(  # type: ignore[attr-defined]
                    f"{self._results_text()} after {unusable} attempts; the other sites returned errors or "
                    "results that cannot be used, see their logs"
                )
            targets = [site for site in self._sites() if site not in self._accepted]
        self._report_missing()
        return None

    def get_num_standing_tasks(self) -> int:
        """Count an aborted round between two attempts as a standing task: FedAvg does not aggregate it."""
        return int(super().get_num_standing_tasks() or self._is_aborted())  # type: ignore[misc]

    def _wait(self, targets: Collection[str]) -> bool:
        """Wait for the sites, and return whether the wait was given up."""
        enough_since: float | None = None
        was_cancelled = False
        while super().get_num_standing_tasks() and not self._is_aborted():  # type: ignore[misc]
            if len(self._accepted) >= self.quorum:
                enough_since = time.monotonic() if enough_since is None else enough_since
                is_over = time.monotonic() - enough_since >= self.quorum_grace
            else:
                is_over = self._needs_others(targets)
            if is_over and not was_cancelled:
                was_cancelled = True
                self.cancel_all_tasks()  # type: ignore[attr-defined]
            time.sleep(self._task_check_period)  # type: ignore[attr-defined]
        return was_cancelled

    def _needs_others(self, targets: Collection[str]) -> bool:
        """Return whether the sites that were asked cannot make the quorum, and other sites can help.

        A site whose answer was an error or unusable cannot help: it would fail again.
        """
        answered, late, sites = answered_sites(self), self._late(), self._sites()
        self._unusable |= answered - self._accepted
        working = {site for site in targets if site not in answered and site not in late}
        if len(self._accepted | working) >= self.quorum or answered >= set(targets):
            return False  # NVFlare ends a wait that all have answered
        if not self._is_announced:
            self._is_announced = True
            text = f"{self._results_text()}; it waits for the other sites"
            intervention = Intervention(Kind.BELOW_QUORUM, text)
            record(self.engine, self.fl_ctx.get_job_id(), intervention)  # type: ignore[attr-defined]
        others = set(sites) - self._accepted - self._unusable - set(late)
        return bool(others) and not working

    def _results_text(self) -> str:
        return f"round {self._round_number} has {len(self._accepted)} of {self.quorum} results"

    def _report_missing(self) -> None:
        """Warn of each site of the job that the round did without."""
        for site in self._sites():
            if site not in self._accepted:
                with self.engine.new_context() as fl_ctx:  # type: ignore[attr-defined]
                    report(fl_ctx, missing_in_round(site, self._round_number))

    def _sites(self) -> list[str]:
        return [client.name for client in self.engine.get_clients()]  # type: ignore[attr-defined]

    def _late(self) -> Collection[str]:
        return job_liveness_of(self.engine).late()  # type: ignore[attr-defined]

    def _is_aborted(self) -> bool:
        return bool(self.abort_signal.triggered)  # type: ignore[attr-defined]

    @property
    def _round_number(self) -> int:
        return int(self.current_round) + 1  # type: ignore[attr-defined]


class QuorumFedAvg(QuorumRounds, FedAvg):
    """NVFlare's FedAvg with a quorum.

    Args:
        quorum: number of results that end a round; 0 for those of all sites.
        quorum_grace: seconds for which the round then waits for the other sites.
        fedavg: arguments of NVFlare's FedAvg.
    """

    def __init__(
        self, *args: Any, quorum: int = 0, quorum_grace: float = QUORUM_GRACE_SECONDS, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.quorum = quorum
        self.quorum_grace = quorum_grace

    @classmethod
    def like(cls, fedavg: FedAvg, quorum: int, quorum_grace: float) -> QuorumFedAvg:
        """Return a controller with the arguments of one of NVFlare's, and a quorum."""
        from nvflare.fuel.utils.class_utils import get_component_init_parameters

        given, names = vars(fedavg), get_component_init_parameters(fedavg).keys() - {"args", "kwargs"}
        attributes = {name: name if name in given else f"_{name}" for name in names}
        arguments = {name: given[attribute] for name, attribute in attributes.items() if attribute in given}
        return cls(quorum=quorum, quorum_grace=quorum_grace, **arguments)
