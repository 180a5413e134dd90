"""What harmonisation by ComBat gains and costs, on simulated cohorts of scanners whose features differ.

Run ``uv run python -m tests.benchmarks.bench_scanners``. Decision 28 rests on its table. Each scanner shifts
and stretches every feature. A logistic regression is judged on other patients of the same two scanners, and
on those of a third one, as features are, and after ComBat (location and scale, with age as covariate).
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from analysis.prediction.model import Estimator
from analysis.statistics.roc import area
from analysis.threads import single_threaded

_FEATURES = 30
_FACTORS = 6
_PER_SCANNER = 100
_SD_MG_CM3 = 30.0
_OSTEOPOROSIS_MG_CM3 = 80.0

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the scanners are like.

    Attributes
    ----------
    shift, stretch : float
        Standard deviations of the shift of a feature by a scanner, in SD of the patients, and of the
        logarithm of its stretch.
    densities : tuple of three float
        Mean density of the patients of the first, the second and the new scanner, mg/cm³.
    """

    shift: float
    stretch: float
    densities: tuple[float, float, float]


SCENARIOS = {
    "scanners alike": Scenario(0.0, 0.0, (100.0, 100.0, 100.0)),
    "same patients": Scenario(0.7, 0.2, (100.0, 100.0, 100.0)),
    "weaker patients at the second": Scenario(0.7, 0.2, (115.0, 85.0, 100.0)),
    "weaker patients at the new one": Scenario(0.7, 0.2, (100.0, 100.0, 80.0)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Patients of one scanner: features, ages, and who has osteoporosis."""

    values: Floats
    age: Floats
    present: Truth


def combat(one: Patients, pooled: Patients) -> Floats:
    """Move and stretch the features of a scanner to those of `pooled`, at the same age."""
    slope, centre, spread = _line(pooled.values, pooled.age)
    own = one.values - one.age[:, None] * slope
    standard = (own - own.mean(axis=0)) / own.std(axis=0)
    return np.asarray(standard * spread + centre + one.age[:, None] * slope)


def _line(values: Floats, age: Floats) -> tuple[Floats, Floats, Floats]:
    away = age - age.mean()
    slope = away @ values / (away @ away)
    rest = values - age[:, None] * slope
    return slope, rest.mean(axis=0), rest.std(axis=0)


def main() -> None:
    """Print AUC and observed to expected for each scenario."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cohorts", type=int, default=100)
    chosen = options.parse_args()
    table = Table("scanners", "judged on", "AUC, as they are", "ComBat", "observed / expected", "ComBat")
    with single_threaded():
        for name, scenario in SCENARIOS.items():
            found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
            for seed in range(chosen.cohorts):
                for judged, how, probabilities, present in _cohort(scenario, seed):
                    ratio = float(present.sum() / probabilities.sum())
                    found[judged, how].append((area(present, probabilities), ratio))
            for judged in ("the same two", "a new one"):
                plain, moved = (np.array(found[judged, how]) for how in ("plain", "ComBat"))
                columns = (_told(one[:, column]) for column in (0, 1) for one in (plain, moved))
                table.add_row(name, judged, *columns)
    Console(width=150).print(table)


def _told(values: Floats) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _cohort(scenario: Scenario, seed: int) -> Iterator[tuple[str, str, Floats, Truth]]:
    """Learn from two scanners, and yield what is told of other patients of both and of a third."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(_FACTORS, _FEATURES))
    scale = np.sqrt((mixing**2).sum(axis=0) + 1)
    shifts = rng.normal(0, scenario.shift, (3, _FEATURES)) * scale
    stretches = np.exp(rng.normal(0, scenario.stretch, (3, _FEATURES)))

    def drawn(scanner: int) -> Patients:
        age = rng.normal(61, 12, _PER_SCANNER)
        bmd = scenario.densities[scanner] - 1.2 * (age - 61) + rng.normal(0, _SD_MG_CM3, _PER_SCANNER)
        hidden = rng.normal(size=(_PER_SCANNER, _FACTORS))
        hidden[:, 0] -= (bmd - 100) / _SD_MG_CM3
        values = hidden @ mixing + rng.normal(size=(_PER_SCANNER, _FEATURES))
        return Patients(values * stretches[scanner] + shifts[scanner], age, bmd < _OSTEOPOROSIS_MG_CM3)

    learned, judged, new = [drawn(0), drawn(1)], [drawn(0), drawn(1)], drawn(2)
    everyone = _together(learned)
    plain = _model().fit(everyone.values, everyone.present)
    known = _together(judged)
    yield "the same two", "plain", _chances(plain, known.values), known.present
    yield "a new one", "plain", _chances(plain, new.values), new.present
    moved = _model().fit(np.concatenate([combat(one, everyone) for one in learned]), everyone.present)
    # The patients to be judged are moved as those of their scanner were from whom was learned.
    same = np.concatenate(
        [_as_learned(one, other, everyone) for one, other in zip(judged, learned, strict=True)]
    )
    yield "the same two", "ComBat", _chances(moved, same), known.present
    # A new scanner has no parameters: they are taken of the patients that are judged, a hundred at once.
    yield "a new one", "ComBat", _chances(moved, combat(new, everyone)), new.present


def _as_learned(one: Patients, learned: Patients, pooled: Patients) -> Floats:
    slope, centre, spread = _line(pooled.values, pooled.age)
    of_scanner = learned.values - learned.age[:, None] * slope
    own = one.values - one.age[:, None] * slope
    standard = (own - of_scanner.mean(axis=0)) / of_scanner.std(axis=0)
    return np.asarray(standard * spread + centre + one.age[:, None] * slope)


def _together(parts: list[Patients]) -> Patients:
    return Patients(
        *(np.concatenate([getattr(one, name) for one in parts]) for name in ("values", "age", "present"))
    )


def _model() -> Estimator:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def _chances(model: Estimator, values: Floats) -> Floats:
    return np.asarray(model.predict_proba(values)[:, 1])


if __name__ == "__main__":
    main()
