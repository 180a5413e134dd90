"""Operating figures of the judgement of scanners (docs/decisions/0035): false alarms, and studies until detection.

    uv run python -m tests.benchmarks.bench_drift

The distances of a scanner like the training are taken as normal, with standard deviation 1, and a tenth of them lie
beyond the usual distance. A scanner that shifts has all its distances raised by a number of standard deviations, from one
study to the next. The second table asks what a wrong usual distance costs: that a larger share of the studies of an
unshifted scanner lies beyond it.
"""

from datetime import UTC, datetime
from statistics import NormalDist, median, quantiles

import numpy as np

from node.domain.drift import EXPECTED_SHARE, WINDOW, ScannerRange, ScannerState, follow

SCANNERS = 1000
STUDIES = 1000
BEFORE = 100
"""Studies like the training before a shift."""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
NORMAL = NormalDist()


def share_after(shift: float) -> float:
    """Return the share of far studies after a shift of the distances, in standard deviations."""
    return 1 - NORMAL.cdf(NORMAL.inv_cdf(1 - EXPECTED_SHARE) - shift)


def states(far: list[bool]) -> list[ScannerState]:
    """Follow a scanner; return its state after each study."""
    there, found = ScannerRange(), []
    for number in range(1, len(far) + 1):
        there = follow(there, far[max(0, number - WINDOW) : number], NOW)
        found.append(there.state)
    return found


def until(found: list[ScannerState], wanted: bool, begin: int) -> int | None:
    """Return after how many studies from one on the scanner has left, or has not any more; None if never."""
    for number, state in enumerate(found[begin:], start=1):
        if (state is ScannerState.LEFT) is wanted:
            return number
    return None


def told(numbers: list[int | None]) -> str:
    """Return median and 90th percentile, of those that came to an end, and how many did not."""
    there = [one for one in numbers if one is not None]
    never = (
        f", {len(numbers) - len(there)} of {len(numbers)} not within {STUDIES}"
        if len(there) < len(numbers)
        else ""
    )
    if len(there) < 2:
        return f"none{never}"
    return f"median {median(there):.0f}, 90 % within {quantiles(there, n=10)[-1]:.0f}{never}"


def main() -> None:
    """Print the figures."""
    chance = np.random.default_rng(35)

    def studies(*parts: tuple[float, int]) -> list[bool]:
        return np.concatenate([chance.random(count) < share for share, count in parts]).tolist()

    print(f"{SCANNERS} scanners for each line")
    for share in (EXPECTED_SHARE, 0.12, 0.15, 0.2):
        left = [states(studies((share, STUDIES))) for _ in range(SCANNERS)]
        alarms = sum(
            one is ScannerState.LEFT and before is not ScannerState.LEFT
            for found in left
            for before, one in zip([ScannerState.UNKNOWN, *found[:-1]], found, strict=True)
        )
        out = sum(found.count(ScannerState.LEFT) for found in left) / SCANNERS / STUDIES
        print(
            f"far by chance {share:.0%}: {alarms / SCANNERS:.3f} false alarms per 1,000 studies, {out:.2%} without answer"
        )
    for shift in (0.5, 1.0, 2.0, 3.0):
        share = share_after(shift)
        shifted = [states(studies((EXPECTED_SHARE, BEFORE), (share, STUDIES))) for _ in range(SCANNERS)]
        new = [states(studies((share, STUDIES))) for _ in range(SCANNERS)]
        print(
            f"shift of {shift} SD ({share:.0%} far): {told([until(one, True, BEFORE) for one in shifted])};",
            end=" ",
        )
        print(f"new scanner: {told([until(one, True, 0) for one in new])}")
    for shift in (1.0, 2.0, 3.0):
        mended = []
        for _ in range(SCANNERS):
            found = states(studies((share_after(shift), 200), (EXPECTED_SHARE, STUDIES)))
            if found[199] is ScannerState.LEFT:
                mended.append(until(found, False, 200))
        print(f"mended after a shift of {shift} SD: inside again after {told(mended)}")


if __name__ == "__main__":
    main()
