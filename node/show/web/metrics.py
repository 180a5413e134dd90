"""The metrics, in the text format of Prometheus.

What the store holds is counted there, so that it goes on after a restart; the rest begins anew with the
process.
"""

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import analysis
from node.config import Configuration
from node.domain.delivery import DeliveryState
from node.domain.dimse_status import (
    CANNOT_UNDERSTAND,
    CONFLICTING_INSTANCE,
    DATASET_DOES_NOT_MATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from node.domain.status import UNFINISHED_STATES, NodeStatus
from node.show.survey import Survey
from node.tally import BUCKETS_S, Counts

__all__ = ["Exposition"]

_ANSWERS = {
    SUCCESS: "stored",
    OUT_OF_RESOURCES: "out of resources",
    DATASET_DOES_NOT_MATCH: "does not match its request",
    CANNOT_UNDERSTAND: "cannot be understood",
    CONFLICTING_INSTANCE: "other bytes under a known UID",
}
"""Labels are few and fixed: what a sender writes never becomes one."""
_MODELS = Path(analysis.__file__).parent / "models"


class Exposition:
    """Writes all metrics as they are now.

    Parameters
    ----------
    survey : Survey
        Knows them.
    """

    def __init__(self, survey: Survey) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(survey))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return them, one a line."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._build = _build(survey.configuration)

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance: the store need not answer yet."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Look, and tell."""
        status = self._survey.status()
        yield _gauge("build_info", "What is running, and the models that it calls.", 1, self._build)
        yield from _of_the_node(status)
        yield from _of_the_store(status)
        yield from _of_destinations(status)
        yield from _of_the_process(self._survey.counts())


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
    yield _gauge("studies_set_aside", "Studies that wait for a person.", figures.set_aside.count)
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
    failures = _labelled("connection_failures", "Connections lost in a row.", "destination")
    for there in status.destinations:
        for state in DeliveryState:
            deliveries.add_metric([there.name, state], there.outbox.counts.get(state, 0))
        waits = there.outbox.oldest
        oldest.add_metric([there.name], 0.0 if waits is None else (status.at - waits).total_seconds())
        failures.add_metric([there.name], there.breaker.failures)
    yield from (deliveries, oldest, failures)


def _of_the_process(counts: Counts) -> Iterator[Metric]:
    answers = CounterMetricFamily(
        "osteonode_instances_answered", "Answers to C-STORE requests since the start.", labels=["answer"]
    )
    by_label = dict.fromkeys((*_ANSWERS.values(), "failed"), 0)
    for status, count in counts.answers.items():
        by_label[_ANSWERS.get(status, "failed")] += count
    for label, count in by_label.items():
        answers.add_metric([label], count)
    yield answers
    yield CounterMetricFamily(
        "osteonode_strangers", "Connections and associations turned away since the start.", counts.strangers
    )
    analyses = HistogramMetricFamily(
        "osteonode_analysis_seconds",
        "Time that a worker took for a study, by how it ended.",
        labels=["ending"],
    )
    for ending, durations in sorted(counts.analyses.items()):
        bounds = ["+Inf" if bound == float("inf") else str(bound) for bound in BUCKETS_S]
        analyses.add_metric([ending], list(zip(bounds, durations.within, strict=True)), durations.total_s)
    yield analyses


def _gauge(name: str, words: str, value: float, labels: dict[str, str] | None = None) -> GaugeMetricFamily:
    labels = labels or {}
    family = GaugeMetricFamily(f"osteonode_{name}", words, labels=list(labels))
    family.add_metric(list(labels.values()), float(value))
    return family


def _labelled(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"osteonode_{name}", words, labels=labels)


def _build(configuration: Configuration) -> dict[str, str]:
    """Name what runs: from the cards, since loading a model would import the science."""
    model = configuration.models.bundle or _MODELS / "demonstration"
    segmenter = configuration.analysis.segmentation.backend
    embedded = _card(_MODELS / "segmenter") if segmenter == "embedded" else {}
    card = _card(model)
    return {
        "version": version("osteonode"),
        "model": str(card.get("name", "?")),
        "model_version": str(card.get("version", "?")),
        "segmenter": segmenter,
        "segmenter_version": str(embedded.get("version", "")),
    }


def _card(bundle: Path) -> dict[str, object]:
    try:
        card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
