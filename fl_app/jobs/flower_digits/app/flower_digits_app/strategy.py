"""Flower's FedAdagrad with sites sampled by name, a halving learning rate and validated metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAdagrad

from fl_app.jobs.fedadagrad import schedule
from fl_app.jobs.fedadagrad.evaluation import EvaluationJournal
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.metadata import REPORT, BadReport, TrainingReport

from .tracking import log


class SiteFailed(RuntimeError):  # noqa: N818
    """A site failed in a round; Flower's own strategies would continue without it."""


class DigitStrategy(FedAdagrad):
    """FedAdagrad over sites with names.

    Args:
        settings: parameters of the job.
        nodes: Flower's node id of each site, by name.
        journal: storage of evaluations, reports and the best model.
    """

    def __init__(
        self, settings: DigitParameters, nodes: Mapping[str, int], journal: EvaluationJournal
    ) -> None:
        super().__init__(
            fraction_evaluate=0.0,
            eta=settings.server_learning_rate,
            eta_l=settings.learning_rate,
            tau=settings.tau,
        )
        self.settings = settings
        self.nodes = nodes
        self.names = {node: name for name, node in nodes.items()}
        self.journal = journal
        self.sampled: list[str] = []

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the model and the learning rate to a random sample of the sites."""
        settings = self.settings
        self.current_arrays = {name: array.numpy() for name, array in arrays.items()}
        self.sampled = schedule.sample(
            list(self.nodes), settings.fraction_train, settings.seed, server_round - 1
        )
        config["server-round"] = server_round
        config["learning-rate"] = self._learning_rate(server_round)
        record = RecordDict({self.arrayrecord_key: arrays, self.configrecord_key: config})
        return [
            Message(content=record, message_type=MessageType.TRAIN, dst_node_id=self.nodes[name])
            for name in self.sampled
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate the results; every sampled site must have replied with a valid report."""
        by_site = {}
        for reply in replies:
            site = self.names.get(reply.metadata.src_node_id)
            if site is None:  # an error of the SuperLink itself
                raise SiteFailed(f"round {server_round}: no site replied: {reply.error.reason}")
            by_site[site] = reply
        for site in self.sampled:
            self._store_report(server_round, site, by_site.get(site))
        return super().aggregate_train(server_round, [by_site[site] for site in self.sampled])

    def evaluate(self, rounds_done: int, arrays: ArrayRecord) -> MetricRecord | None:
        """Evaluate the global model on the server, at the configured interval."""
        if rounds_done % self.settings.evaluate_every and rounds_done != self.settings.rounds:
            return None
        values = self.journal.evaluate(rounds_done, arrays.to_torch_state_dict()).scalars()
        log(values, step=rounds_done)
        return MetricRecord(values)

    def _store_report(self, server_round: int, site: str, reply: Message | None) -> None:
        if reply is None:
            raise SiteFailed(f"round {server_round}: {site} did not reply")
        if reply.has_error():
            raise SiteFailed(f"round {server_round}: the ClientApp of {site} raised {reply.error.reason}")
        sent: Any = reply.content.pop(REPORT, None)
        try:
            report = TrainingReport.from_wire(None if sent is None else dict(sent))
        except BadReport as error:
            raise SiteFailed(f"round {server_round}: {site} sent invalid metadata: {error}") from None
        self.journal.report(server_round, site, self._learning_rate(server_round), report)

    def _learning_rate(self, server_round: int) -> float:
        return schedule.learning_rate(
            self.settings.learning_rate, self.settings.halve_every, server_round - 1
        )
