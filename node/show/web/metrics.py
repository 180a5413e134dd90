"""The metrics of the node, in the text format of Prometheus.

Figures from the store persist over a restart; the others start at zero with the process.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import analysis
from analysis.prediction.checksums import written_card
from node.config import NO_MODEL, Configuration
from node.dicom.certificates import endings
from node.domain.delivery import DeliveryState
from node.domain.dimse_status import (
    CANNOT_UNDERSTAND,
    CONFLICTING_INSTANCE,
    DATASET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from node.domain.drift import ScannerState
from node.domain.model_comparison import STATES
from node.domain.nodes import NodeRole, SeenNode
from node.domain.notice import NoticeFigures, NoticeState
from node.domain.status import UNFINISHED_STATES, NodeStatus
from node.domain.wish import WishState
from node.errors import TransientError
from node.show.node_status import StatusReader
from node.show.scanners import ScannerView
from node.tally import Counts

__all__ = ["Exposition"]

_ANSWERS = {
    SUCCESS: "stored",
    OUT_OF_RESOURCES: "out of resources",
    DATASET_DOES_NOT_MATCH: "does not match its request",
    CANNOT_UNDERSTAND: "cannot be understood",
    CONFLICTING_INSTANCE: "other bytes under a known UID",
}
"""Labels of the DIMSE statuses; a fixed set, since no text from a sender may become a label."""
_MOST_SCANNERS = 50
"""Of which there are metrics, counted by scanner and sequence."""
_EMBEDDED_SEGMENTER = Path(analysis.__file__).parent / "models" / "segmenter"


class Exposition:
    """Writes the present values of all metrics.

    Parameters
    ----------
    status_reader : StatusReader
        Gives the values.
    """

    def __init__(self, status_reader: StatusReader) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(status_reader))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics, one value per line."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    def __init__(self, status_reader: StatusReader) -> None:
        self._status_reader = status_reader
        self._build = _build(status_reader.configuration)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not collect: the store may not answer yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Return the present value of each metric."""
        status = self._status_reader.status()
        yield _gauge("build_info", "What is running, and the models that it calls.", 1, self._build)
        yield from _of_the_node(status)
        yield from _of_the_disk(self._status_reader)
        yield from _of_the_store(status)
        yield from _of_destinations(status)
        yield _of_archives(status)
        yield from _of_scanners(self._status_reader.scanners())
        yield from _of_nodes(status)
        yield from _of_contacts(status)
        yield _peers_that_failed(status)
        yield _certificates(self._status_reader.configuration)
        counts = self._status_reader.counts()
        yield from _of_the_process(counts)
        yield _discarded(status, counts)
        yield self._status_reader.analysis_seconds()
        yield _shadows(self._status_reader)


def _of_the_node(status: NodeStatus) -> Iterator[Metric]:
    yield _gauge("start_time_seconds", "Since when it runs, in Unix time.", status.started_at.timestamp())
    yield _gauge("ready", "1 if images can be received.", not status.unready)
    yield _gauge("condition", "0 well, 1 needs a look, 2 out of order.", status.condition)
    yield _gauge("disk_free_bytes", "Free on the disk of [storage].", status.disk.free_bytes)
    yield _gauge("disk_watermark_bytes", "Below this nothing is received.", status.disk.watermark_bytes)
    yield _gauge("associations", "Senders that are connected.", status.associations)
    yield _gauge("workers", "Worker processes.", status.workers)
    yield _gauge("workers_busy", "Worker processes that analyse.", status.busy)
    ended = _labelled("sweep_last_end_seconds", "End of the latest run of each sweep, in Unix time.", "sweep")
    for run in status.sweeps:
        if run.ended_at is not None:
            ended.add_metric([run.name], run.ended_at.timestamp())
    yield ended


def _of_the_disk(status_reader: StatusReader) -> Iterator[Metric]:
    wanted = status_reader.configuration.storage.disk_days
    yield _gauge("disk_days_wanted", "[storage] disk_days: for how long the disk should last.", wanted)
    lasts = _labelled("disk_days_left", "Days until the watermark, at the rate of the last week.")
    if (days := status_reader.disk_lasts()) is not None:
        lasts.add_metric([], days)
    yield lasts


def _shadows(status_reader: StatusReader) -> Metric:
    asked = _labelled(
        "shadow_studies",
        "Studies that a shadow was asked about, by whether its answer was that of the chosen model.",
        "shadow",
        "target",
        "outcome",
    )
    # Nothing is read of the store where no model is in the shadow.
    if not status_reader.configuration.models.shadow:
        return asked
    counts: Counter[tuple[str, str, str]] = Counter()
    with suppress(TransientError):
        for one in status_reader.comparison().models:
            same = sum(one.table[state, state] for state in STATES)
            told = {"same": same, "other": one.studies - same, "failed": one.faults}
            counts.update({(str(one.shadow), str(one.target), name): told[name] for name in told})
    for labels, count in counts.items():
        asked.add_metric(labels, count)
    return asked


def _of_the_store(status: NodeStatus) -> Iterator[Metric]:
    figures = status.figures
    studies = _labelled("studies", "Studies by their present state.", "state")
    oldest = _labelled("oldest_study_seconds", "How long the first study has been in this state.", "state")
    for queue in status.queue:
        studies.add_metric([queue.state], queue.count)
        if queue.state in UNFINISHED_STATES:
            age = 0.0 if queue.oldest is None else (status.at - queue.oldest).total_seconds()
            oldest.add_metric([queue.state], age)
    yield studies
    yield oldest
    yield _gauge("studies_set_aside", "Studies that wait for a person.", figures.failed_studies.count)
    yield _gauge("instances_stored", "Objects that are kept now.", figures.instances)
    quarantined = CounterMetricFamily(
        "osteonode_instances_quarantined", "Objects that were put aside, ever, by reason.", labels=["reason"]
    )
    for reason, count in sorted(figures.quarantined.items()):
        quarantined.add_metric([reason], count)
    yield quarantined


def _of_destinations(status: NodeStatus) -> Iterator[Metric]:
    deliveries = _labelled(
        "deliveries", "Result objects by destination and by what became of them.", "destination", "state"
    )
    oldest = _labelled(
        "oldest_undelivered_seconds", "How long the first study waits for a destination.", "destination"
    )
    latest = _labelled(
        "last_delivery_seconds", "When a destination took the latest object, in Unix time.", "destination"
    )
    failures = _labelled("connection_failures", "Connections lost in a row.", "destination")
    for there in status.destinations:
        for state in DeliveryState:
            deliveries.add_metric([there.name, state], there.outbox.counts.get(state, 0))
        waits = there.outbox.oldest
        oldest.add_metric([there.name], 0.0 if waits is None else (status.at - waits).total_seconds())
        if there.outbox.latest is not None:
            latest.add_metric([there.name], there.outbox.latest.timestamp())
        failures.add_metric([there.name], there.breaker.failures)
    yield from (deliveries, oldest, latest, failures)


def _of_archives(status: NodeStatus) -> Metric:
    wishes = _labelled(
        "fetched_studies", "Studies that were asked for, by archive and by what became of them.",
        "archive", "state",
    )  # fmt: skip
    for there in status.archives:
        for state in WishState:
            wishes.add_metric([there.name, state], there.counts.get(state, 0))
    return wishes


def _of_scanners(views: Sequence[ScannerView]) -> Iterator[Metric]:
    labels = "scanner", "sequence"
    states = "0 too few studies, 1 inside, 2 leaving, 3 has left the training range."
    state = _labelled("scanner_state", states, *labels)
    far = _labelled("scanner_far_share", "Share of its latest studies far from the training.", *labels)
    # The name of a scanner is text from a sender, so its digest is the label.
    for view in sorted(views, key=lambda one: one.total, reverse=True)[:_MOST_SCANNERS]:
        values = [view.identifier, view.subject.basis]
        state.add_metric(values, list(ScannerState).index(view.range.state))
        if view.studies:
            far.add_metric(values, view.far / view.studies)
    yield from (state, far)


def _of_nodes(status: NodeStatus) -> Iterator[Metric]:
    nodes = _labelled("analysing_nodes", "Nodes that only analyse, by what they do.", "state")
    studies = _labelled("node_studies", "Studies that a node analyses now.", "node", "role")
    counts = Counter(_does(one) for one in status.nodes if one.entry.role is NodeRole.ANALYSE)
    for state in ("working", "waiting", "vanished"):
        nodes.add_metric([state], counts[state])
    for one in status.nodes:
        studies.add_metric([one.entry.name, one.entry.role], len(one.studies))
    yield from (nodes, studies)


def _does(node: SeenNode) -> str:
    if not node.is_alive:
        return "vanished"
    return "waiting" if node.entry.waits else "working"


def _of_contacts(status: NodeStatus) -> Iterator[Metric]:
    notices = _labelled("notices", "Notifications by contact, and what became of them.", "contact", "state")
    oldest = _labelled("oldest_notice_seconds", "How long the first one waits for a contact.", "contact")
    for name in status.told:
        there = status.notices.get(name, NoticeFigures())
        for state in NoticeState:
            notices.add_metric([name, state], there.counts.get(state, 0))
        waits = there.oldest
        oldest.add_metric([name], 0.0 if waits is None else (status.at - waits).total_seconds())
    yield from (notices, oldest)


def _peers_that_failed(status: NodeStatus) -> Metric:
    faults = _labelled(
        "peer_fault", "1 for each peer whose last connection failed.", "peer", "kind", "reason"
    )
    peers = [
        *((there.name, "destination", there.breaker) for there in status.destinations),
        *((name, "source", breaker) for name, breaker in status.asked.items()),
        *((there.name, "archive", there.breaker) for there in status.archives),
        *((name, "contact", breaker) for name, breaker in status.told.items()),
    ]
    for name, kind, breaker in peers:
        if breaker.failures:
            faults.add_metric([name, kind, breaker.reason], 1)
    return faults


def _certificates(configuration: Configuration) -> Metric:
    ends = _labelled("certificate_end_seconds", "When a file that TLS needs ends, in Unix time.", "of")
    for ending in endings(configuration):
        ends.add_metric([ending.of], ending.at.timestamp())
    return ends


def _of_the_process(counts: Counts) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "osteonode_instances_answered", "Answers to C-STORE requests since the start.", labels=["answer"]
    )
    by_label = dict.fromkeys((*_ANSWERS.values(), "failed"), 0)
    for status, count in counts.answers.items():
        by_label[_ANSWERS.get(status, "failed")] += count
    for label, count in by_label.items():
        answers.add_metric([label], count)
    answers.add_metric(["discarded by a rule"], sum(counts.discarded.values()))
    yield answers
    yield CounterMetricFamily(
        "osteonode_strangers",
        "Connections and associations turned away since the start.",
        counts.rejected_peers,
    )


def _discarded(status: NodeStatus, counts: Counts) -> Metric:
    discarded = CounterMetricFamily(
        "osteonode_instances_discarded", "Objects that rules discarded since the start.", labels=["rule"]
    )
    # Those of rules that are no longer configured, too: a counter must not vanish.
    names = {rule.name for rule in status.rules if not rule.take} | set(counts.discarded)
    for name in sorted(names):
        discarded.add_metric([name], counts.discarded.get(name, 0))
    return discarded


def _gauge(name: str, words: str, value: float, labels: dict[str, str] | None = None) -> GaugeMetricFamily:
    labels = labels or {}
    family = GaugeMetricFamily(f"osteonode_{name}", words, labels=list(labels))
    family.add_metric(list(labels.values()), float(value))
    return family


def _labelled(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"osteonode_{name}", words, labels=labels)


def _build(configuration: Configuration) -> dict[str, str]:
    """Return the versions of the software and its models, read from the cards, as loading a model is slow."""
    segmenter = configuration.analysis.segmentation.backend
    embedded = written_card(_EMBEDDED_SEGMENTER) if segmenter == "embedded" else {}
    bundle = configuration.models.bundle
    card = {"name": NO_MODEL, "version": ""} if bundle is None else written_card(bundle)
    return {
        "version": version("osteonode"),
        "model": str(card.get("name", "?")),
        "model_version": str(card.get("version", "?")),
        "segmenter": segmenter,
        "segmenter_version": str(embedded.get("version", "")),
    }
