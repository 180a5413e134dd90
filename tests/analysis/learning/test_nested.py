import numpy as np
import pytest

from analysis.learning.nested import Judged, performance_of


@pytest.mark.parametrize(
    ("hits", "total", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_interval_of_a_sensitivity_is_that_of_newcombe(
    hits: int, total: int, interval: tuple[float, float]
) -> None:
    """Newcombe 1998, table I, method 3."""
    present = np.arange(2 * total) < total
    judged = Judged(
        probabilities=np.where(present, 0.6, 0.4),
        called=np.arange(2 * total) < hits,
        fold=np.arange(2 * total) % 2,
    )
    performance = performance_of(judged, present, confidence=0.8)
    assert performance.values["sensitivity"] == hits / total
    assert performance.intervals["sensitivity"] == pytest.approx(interval, abs=5e-5)
    assert performance.intervals["specificity"][1] == 1.0
