"""The text of the metrics that Prometheus reads."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from node.tally import Tally

BOUNDS = ("1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "60.0", "120.0", "300.0", "600.0", "+Inf")
NAME = "osteonode_analysis_seconds"


class OneMetric(Collector):
    """Collects one metric that was made before."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> list[Metric]:
        """Return the metric."""
        return [self._metric]


def histogram(ending: str, counts: str, total: str) -> list[str]:
    """Return the lines of one ending: its cumulative counts, one digit for each bound, and its total in s."""
    buckets = [
        f'{NAME}_bucket{{ending="{ending}",le="{bound}"}} {count}.0'
        for bound, count in zip(BOUNDS, counts, strict=True)
    ]
    return [
        *buckets,
        f'{NAME}_count{{ending="{ending}"}} {counts[-1]}.0',
        f'{NAME}_sum{{ending="{ending}"}} {total}',
    ]


def test_durations_of_analyses_are_written_as_a_histogram_for_each_ending() -> None:
    tally = Tally()
    for ending, seconds in (("reported", 7.0), ("refused", 2.0), ("reported", 1000.0), ("broke", 0.5)):
        tally.note_analysis(ending, seconds)
    registry = CollectorRegistry()
    registry.register(OneMetric(tally.analysis_seconds()))
    assert generate_latest(registry).decode().splitlines() == [
        f"# HELP {NAME} Time that a worker took for a study, by how it ended.",
        f"# TYPE {NAME} histogram",
        *histogram("broke", "11111111111", "0.5"),
        *histogram("refused", "01111111111", "2.0"),
        *histogram("reported", "00011111112", "1007.0"),
    ]
