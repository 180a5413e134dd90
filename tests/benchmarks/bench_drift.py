"""Operating figures of the judgement of scanners: false alarms, and studies until a shift is found.

    uv run python -m tests.benchmarks.bench_drift

The distances of a scanner like the training are normal, with standard deviation 1, and a tenth of them lie
beyond the usual distance. A scanner that shifts has all its distances raised by a number of standard
deviations, from one study to the next. The first lines also ask what a wrong usual distance costs: that a
larger share of the studies of an unshifted scanner lies beyond it. docs/decisions/0035 has the figures.
"""

from datetime import UTC, datetime
from statistics import NormalDist, median, quantiles

import numpy as np
from rich.console import Console

from node.domain.drift import EXPECTED_SHARE, WINDOW, ScannerRange, ScannerState, follow

SCANNERS = 1000
STUDIES = 1000
BEFORE = 100
"""Studies like the training before a shift."""
SHIFTED = 200
"""Studies of a shifted scanner before it is mended."""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
NORMAL = NormalDist()
CHANCE = np.random.default_rng(35)


def share_after(shift: float) -> float:
    """Return the share of far studies after a shift of the distances, in standard deviations."""
    return 1 - NORMAL.cdf(NORMAL.inv_cdf(1 - EXPECTED_SHARE) - shift)


def studies(*parts: tuple[float, int]) -> list[bool]:
    """Draw studies in a row: for each part, the share of far ones and the number of studies."""
    return [bool(one) for share, count in parts for one in CHANCE.random(count) < share]


def states(far: list[bool]) -> list[ScannerState]:
    """Follow a scanner; return its state after each study."""
    there, found = ScannerRange(), []
    for number in range(1, len(far) + 1):
        there = follow(there, far[max(0, number - WINDOW) : number], NOW)
        found.append(there.state)
    return found


def until(found: list[ScannerState], begin: int, *, left: bool) -> int | None:
    """Return after how many studies from one on a scanner has left, or is back; None if never."""
    for number, state in enumerate(found[begin:], start=1):
        if (state is ScannerState.LEFT) is left:
            return number
    return None


def alarms(found: list[ScannerState]) -> int:
    """Return how often a scanner left."""
    before = [ScannerState.UNKNOWN, *found[:-1]]
    pairs = zip(before, found, strict=True)
    return sum(now is ScannerState.LEFT and was is not ScannerState.LEFT for was, now in pairs)


def told(numbers: list[int | None]) -> str:
    """Return median and 90th percentile of those that came to an end, and how many did not."""
    there = [one for one in numbers if one is not None]
    gone = len(numbers) - len(there)
    never = f", {gone} of {len(numbers)} not within {STUDIES}" if gone else ""
    return f"median {median(there):.0f}, 90 % within {quantiles(there, n=10)[-1]:.0f}{never}"


def main() -> None:
    """Print the figures."""
    show = Console(width=200, highlight=False).print
    for share in (EXPECTED_SHARE, 0.12, 0.15, 0.2):
        all_of_them = [states(studies((share, STUDIES))) for _ in range(SCANNERS)]
        count = sum(map(alarms, all_of_them)) / SCANNERS
        out = sum(one.count(ScannerState.LEFT) for one in all_of_them) / SCANNERS / STUDIES
        show(f"{share:.0%} far by chance: {count:.3f} false alarms per 1,000 studies, {out:.2%} unanswered")
    for shift in (0.5, 1.0, 2.0, 3.0):
        share = share_after(shift)
        moved = [states(studies((EXPECTED_SHARE, BEFORE), (share, STUDIES))) for _ in range(SCANNERS)]
        new = [states(studies((share, STUDIES))) for _ in range(SCANNERS)]
        show(
            f"shift of {shift} SD ({share:.0%} far): {told([until(one, BEFORE, left=True) for one in moved])}"
        )
        show(f"  of a new scanner: {told([until(one, 0, left=True) for one in new])}")
    for shift in (1.0, 2.0, 3.0):
        parts = (share_after(shift), SHIFTED), (EXPECTED_SHARE, STUDIES)
        mended = [states(studies(*parts)) for _ in range(SCANNERS)]
        gone = [one for one in mended if one[SHIFTED - 1] is ScannerState.LEFT]
        show(f"back after {shift} SD are mended: {told([until(one, SHIFTED, left=False) for one in gone])}")


if __name__ == "__main__":
    main()
