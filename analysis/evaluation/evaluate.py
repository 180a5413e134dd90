"""The experiment of the paper, with stricter statistics, on a measured cohort.

Six kinds of classifier, three sources (T1, T2, both) and two targets are evaluated on ten stratified 7:3
splits by patient. Selection, tuning and calibration (`analysis.learning`) see the training patients only. In
addition to the paper's mean AUC there are intervals, paired tests that account for patients shared between
splits, and baselines.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import ceil

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedShuffleSplit

from analysis.cohort.feature_table import SEQUENCES, FeatureTable
from analysis.domain.basis import sequences_of
from analysis.domain.findings import Target
from analysis.domain.reason import quoted
from analysis.errors import RefusedError
from analysis.evaluation.result import (
    BASELINES,
    SOURCES,
    WITH_AGE_AND_SEX,
    Cell,
    Evaluation,
    EvaluationSettings,
    PairedTest,
)
from analysis.evaluation.summary import summarised
from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.statistics.agreement import intraclass_correlation
from analysis.statistics.resampling import corrected_resampled_t, holm
from analysis.statistics.roc import compare_areas
from analysis.tasks import Spread, in_turn

__all__ = ["Evaluation", "EvaluationSettings", "Source", "evaluate", "sources_of"]

_BASELINE_KIND = "LR"
_MINIMUM_KNOWN = 0.8  # a baseline that is known in a smaller fraction of patients is left out

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The features of one source for all evaluated patients.

    Attributes
    ----------
    name : str
        One of `EvaluationSettings.sources` or `BASELINES`.
    values : ndarray of shape (patients, features)
        The features; age, sex and baselines may be NaN.
    repeated : ndarray of shape (patients, features) or None
        The same after a small change of the masks; None for a baseline.
    kinds : tuple of str
        Kinds of model that are learned from it.
    """

    name: str
    values: Floats
    repeated: Floats | None
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """One split of one target."""

    target: Target
    present: Truth
    inside: npt.NDArray[np.intp]
    outside: npt.NDArray[np.intp]


_Judged = dict[tuple[str, str], tuple[Floats, Truth]]
"""Probabilities of the test patients and whether each was called present, by source and kind."""


def evaluate(
    table: FeatureTable,
    settings: EvaluationSettings,
    spread: Spread = in_turn,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Run the experiment; the same table and settings give the same figures.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort. Patients without both sequences are left out, so that all sources are compared
        on the same patients.
    settings : EvaluationSettings
        Settings of the experiment.
    spread : Spread
        Runs the splits; `in_turn` runs them in this process.
    report_progress : callable
        Called with the number of finished splits and the total.

    Raises
    ------
    RefusedError
        If classes are too small; it names all of them. Or if age and sex are to be features, and are known of
        too few patients.
    """
    complete = np.logical_and.reduce([table.sequences[name].available for name in SEQUENCES])
    present = {
        target: table.bmd_mg_cm3[complete] < threshold
        for target, threshold in settings.thresholds_mg_cm3.items()
    }
    faults = (*_faults(present, settings), *_unknown_people(table, complete, settings))
    if faults:
        raise RefusedError(*map(quoted, faults))
    tasks = [
        _Task(target, truth, inside, outside)
        for target, truth in present.items()
        for inside, outside in _splits(truth, settings)
    ]
    judge = partial(_judge, sources=tuple(sources_of(table, complete, settings)), learning=settings.learning)
    results: dict[int, _Judged] = {}
    for index, judged in spread(judge, tasks):
        results[index] = judged
        report_progress(len(results), len(tasks))
    cells = tuple(_cells(tasks, [results[index] for index in range(len(tasks))], present))
    shown = [name for name in BASELINES if any(cell.source == name for cell in cells)]
    return Evaluation(
        patient_ids=tuple(np.array(table.patient_ids, dtype=object)[complete].tolist()),
        incomplete=int((~complete).sum()),
        present=present,
        cells=cells,
        tests=_tests(cells, present, settings.kinds, list(combinations(SOURCES, 2))),
        added_value=_tests(
            cells, present, settings.kinds, list(WITH_AGE_AND_SEX.items()) if settings.age_and_sex else []
        ),
        against_baselines=_tests(
            cells, present, settings.kinds, [(source, name) for source in settings.sources for name in shown]
        ),
        repeatability=_repeatability(table),
        settings=settings,
        features_digest=table.features_digest,
        simulated=table.simulated,
        two_readers=table.two_readers,
    )


def _faults(present: Mapping[Target, Truth], settings: EvaluationSettings) -> Iterator[str]:
    # Every inner fold and the patients to be judged need one of each class; one more, for rounding.
    of_folds = ceil(settings.learning.folds / (1 - settings.test_share)) + 1
    least = max(settings.minimum_per_class, of_folds, ceil(1 / settings.test_share) + 1)
    for target, truth in present.items():
        for count, word in ((int(truth.sum()), "with"), (int((~truth).sum()), "without")):
            if count < least:
                yield (
                    f"{count} patients with both sequences are {word} {target.value}, and {least} are needed"
                )


def _unknown_people(table: FeatureTable, rows: Truth, settings: EvaluationSettings) -> Iterator[str]:
    if not settings.age_and_sex:
        return
    for name, column in (("age", table.age), ("sex", table.female)):
        known = float(np.isfinite(column[rows]).mean())
        if known < _MINIMUM_KNOWN:
            yield (
                f"age and sex are to be features, and the {name} of {known:.0%} of the patients with both "
                f"sequences is known; {_MINIMUM_KNOWN:.0%} are needed"
            )


def sources_of(table: FeatureTable, rows: Truth, settings: EvaluationSettings) -> Iterator[Source]:
    """Yield the sources and the baselines that enough patients have.

    Parameters
    ----------
    table : FeatureTable
        The measured cohort.
    rows : ndarray of bool, shape (patients,)
        The patients to evaluate, who have both sequences.
    settings : EvaluationSettings
        Settings of the experiment.
    """
    values = {name: table.sequences[name].values[rows] for name in SEQUENCES}
    repeated = {name: table.sequences[name].repeated[rows] for name in SEQUENCES}
    # In whole years, as a trained model reads it.
    people = np.column_stack([np.floor(table.age), table.female])[rows]
    for name in settings.sources:
        parts = sequences_of(WITH_AGE_AND_SEX.get(name, name))
        added = [people] if name in WITH_AGE_AND_SEX else []
        yield Source(
            name,
            np.concatenate([*(values[part] for part in parts), *added], axis=1),
            _repeated([repeated[part] for part in parts], added),
            settings.kinds,
        )
    columns = {
        "age + sex": np.column_stack([table.age, table.female])[rows],
        "VBQ": table.sequences["T1"].vbq[rows, None],
        "T2-VBQ": table.sequences["T2"].vbq[rows, None],
    }
    for name in BASELINES:
        if (np.isfinite(columns[name]).mean(axis=0) >= _MINIMUM_KNOWN).all():
            yield Source(name, columns[name], None, (_BASELINE_KIND,))


def _repeated(parts: Sequence[Floats], people: Sequence[Floats]) -> Floats:
    """Put second measurements beside age and sex, which do not change with the masks.

    Where age or sex is unknown, a patient has no second measurement.
    """
    repeated = np.concatenate([*parts, *people], axis=1)
    if people:
        repeated[~np.isfinite(repeated).all(axis=1)] = np.nan
    return repeated


def _splits(
    truth: Truth, settings: EvaluationSettings
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    splitter = StratifiedShuffleSplit(
        settings.splits, test_size=settings.test_share, random_state=settings.learning.seed
    )
    return list(splitter.split(truth, truth))


def _judge(task: _Task, *, sources: Sequence[Source], learning: LearningSettings) -> _Judged:
    """Learn from the training patients of a split, and predict its test patients."""
    judged = {}
    for source in sources:
        # A missing value of age, sex or a baseline is replaced by the median of the training patients.
        typical = np.nanmedian(source.values[task.inside], axis=0)
        values = np.where(np.isfinite(source.values), source.values, typical)
        again = None if source.repeated is None else source.repeated[task.inside]
        training_set = prepare_training_set(values[task.inside], task.present[task.inside], learning, again)
        for kind in source.kinds:
            learned = learn(training_set, (kind,), learning)
            probabilities = learned.probabilities(values[task.outside])
            judged[source.name, kind] = probabilities, probabilities >= learned.threshold
    return judged


def _cells(
    tasks: Sequence[_Task], results: Sequence[_Judged], present: Mapping[Target, Truth]
) -> Iterator[Cell]:
    for target, truth in present.items():
        own = [(task, judged) for task, judged in zip(tasks, results, strict=True) if task.target is target]
        for source, kind in own[0][1]:
            probabilities = np.full((len(own), truth.size), np.nan)
            called = np.zeros((len(own), truth.size), dtype=np.bool_)
            for split, (task, judged) in enumerate(own):
                probabilities[split, task.outside], called[split, task.outside] = judged[source, kind]
            yield summarised((target, source, kind), truth, probabilities, called)


def _tests(
    cells: Sequence[Cell],
    present: Mapping[Target, Truth],
    kinds: Sequence[str],
    pairs: Sequence[tuple[str, str]],
) -> tuple[PairedTest, ...]:
    """Compare sources in pairs; a baseline has one kind of model, whatever it is compared with."""
    by_key = {(cell.target, cell.source, cell.kind): cell for cell in cells}
    found = []
    for target, truth in present.items():
        for kind in kinds:
            for first, second in pairs:
                one = by_key[target, first, kind]
                other = by_key[target, second, _BASELINE_KIND if second in BASELINES else kind]
                locked = np.isfinite(one.probabilities[0])
                found.append(
                    (
                        (target, kind, first, second),
                        compare_areas(
                            truth[locked], one.probabilities[0, locked], other.probabilities[0, locked]
                        ),
                        corrected_resampled_t(
                            one.areas - other.areas, int((~locked).sum()), int(locked.sum())
                        ),
                    )
                )
    locked_adjusted = holm([locked.p for _, locked, _ in found])
    repeated_adjusted = holm([repeated.p for _, _, repeated in found])
    return tuple(
        PairedTest(*key, locked, repeated, locked_adjusted[index], repeated_adjusted[index])
        for index, (key, locked, repeated) in enumerate(found)
    )


def _repeatability(table: FeatureTable) -> dict[str, dict[str, float]]:
    found = {}
    for name in SEQUENCES:
        sequence = table.sequences[name]
        twice = sequence.available & np.isfinite(sequence.repeated).all(axis=1)
        if twice.sum() > 1:
            agreement = intraclass_correlation(
                np.stack([sequence.values[twice], sequence.repeated[twice]], axis=1)
            )
            found[name] = dict(zip(sequence.names, agreement.tolist(), strict=True))
    return found
