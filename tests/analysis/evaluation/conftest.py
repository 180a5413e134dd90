"""Pages without their charts, which take seconds to draw."""

import pytest

from analysis.evaluation import report


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the charts of an evaluation empty: for tests that read words and tables of its page."""
    for name in ("areas_svg", "curves_svg"):
        monkeypatch.setattr(report, name, lambda *_: b"<svg/>")
