"""How models in the shadow compare with the chosen one, from the answers that are kept of each."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles, stdev

from analysis.domain.target import Target
from node.domain.model_answer import AnswerState, KeptAnswer, ModelAnswer, Role

__all__ = ["FEW", "STATES", "Comparison", "ModelComparison", "ModelName", "Scores", "compare_models", "kappa"]

FEW = 20
"""With fewer studies there is no kappa and there are no limits of agreement: chance would decide them."""
STATES = (AnswerState.ABOVE, AnswerState.BELOW, AnswerState.INDETERMINATE, AnswerState.ABSTAINED)
"""The answers that are compared, in the order of the table."""
_IN_95_PERCENT = 1.96

Pair = tuple[AnswerState, AnswerState]


@dataclass(frozen=True, slots=True, order=True)
class ModelName:
    """A model.

    Attributes
    ----------
    name, version : str
        As its card says; empty if that cannot be read.
    bundle : str
        See `ModelAnswer.bundle`: two models may have the same name.
    """

    name: str
    version: str
    bundle: str

    def __str__(self) -> str:
        """Return the name with version and the beginning of the digest."""
        return " ".join(part for part in (self.name, self.version, f"({self.bundle[:8]})") if part)


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """A model in the shadow beside the chosen one, for one target, over the studies that both had.

    Attributes
    ----------
    chosen, shadow : ModelName
        The two models.
    target : Target
        What was predicted.
    studies : int
        Number of studies; those at which the shadow failed are not counted.
    faults : int
        Number of studies at which it failed.
    table : mapping of (AnswerState, AnswerState) to int
        Number of studies by the answer of the chosen model and that of the shadow; all pairs of `STATES`.
    agreement : float or None
        Share of studies with the same answer, 0 to 1; None without studies.
    kappa : float or None
        Cohen's kappa of the answers; None with fewer than `FEW` studies, or if both gave one answer only.
    pairs : int
        Number of studies to which both gave a probability.
    difference : float or None
        Mean of the probability of the shadow minus that of the chosen model; None without pairs.
    limits : tuple of two float, or None
        95 % limits of agreement (Bland and Altman): mean ± 1.96 standard deviations of these differences;
        None with fewer than `FEW` pairs.
    """

    chosen: ModelName
    shadow: ModelName
    target: Target
    studies: int
    faults: int
    table: Mapping[Pair, int]
    agreement: float | None
    kappa: float | None
    pairs: int
    difference: float | None
    limits: tuple[float, float] | None

    @property
    def is_few(self) -> bool:
        """Whether there are too few studies to conclude anything."""
        return self.studies < FEW


@dataclass(frozen=True, slots=True)
class Scores:
    """The probabilities that one model gave to studies of one scanner or month, for one target.

    Attributes
    ----------
    model : ModelName
        The model.
    target : Target
        What was predicted.
    group : str
        Key of the scanner or month; empty if it is not known.
    studies : int
        Number of studies that the model was asked about.
    scores : int
        Number of those with a probability.
    quartiles : tuple of three float, or None
        Lower quartile, median and upper quartile of the probabilities; None without any.
    above : float or None
        Share of the probabilities that are not below the decision threshold, 0 to 1; None without any.
    """

    model: ModelName
    target: Target
    group: str
    studies: int
    scores: int
    quartiles: tuple[float, float, float] | None
    above: float | None

    @property
    def is_few(self) -> bool:
        """Whether there are too few probabilities to conclude anything."""
        return self.scores < FEW


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is kept of models, compared.

    Attributes
    ----------
    models : tuple of ModelComparison
        One for each pair of a chosen model and a shadow, and each target.
    by_scanner, by_month : tuple of Scores
        One for each model, target and scanner, or month.
    """

    models: tuple[ModelComparison, ...] = ()
    by_scanner: tuple[Scores, ...] = ()
    by_month: tuple[Scores, ...] = ()


def compare_models(kept: Sequence[KeptAnswer]) -> Comparison:
    """Compare the models whose answers are kept.

    A study counts for the pair of models that it was analysed with: after a model was exchanged for its
    shadow, the earlier studies are compared as they were.

    Parameters
    ----------
    kept : sequence of KeptAnswer
        At most one answer of each study, model and target, in any order.
    """
    return Comparison(
        _pairs_of_models(kept),
        _scores(kept, lambda answer: answer.scanner),
        _scores(kept, lambda answer: answer.acquired),
    )


def kappa(table: Mapping[Pair, int]) -> float | None:
    """Return Cohen's kappa of a table of pairs of answers; None if agreement by chance is certain.

    Cohen, Educational and Psychological Measurement 1960;20:37-46. Written out here because scikit-learn,
    which has it too, would stay in the memory of the node for one page. The tests compare the two.

    Examples
    --------
    >>> a, b = AnswerState.ABOVE, AnswerState.BELOW
    >>> round(kappa({(a, a): 20, (a, b): 5, (b, a): 10, (b, b): 15}), 3)
    0.4
    """
    total = sum(table.values())
    if not total:
        return None
    first, second = Counter[AnswerState](), Counter[AnswerState]()
    for (one, other), count in table.items():
        first[one] += count
        second[other] += count
    by_chance = sum(first[state] * second[state] for state in first) / total**2
    if by_chance == 1:
        return None
    same = sum(count for (one, other), count in table.items() if one is other) / total
    return (same - by_chance) / (1 - by_chance)


def _pairs_of_models(kept: Sequence[KeptAnswer]) -> tuple[ModelComparison, ...]:
    chosen = {
        (one.study_uid, one.answer.target): one.answer for one in kept if one.answer.role is Role.CHOSEN
    }
    pairs: dict[tuple[ModelName, ModelName, Target], list[tuple[ModelAnswer, ModelAnswer]]]
    pairs = defaultdict(list)
    for one in kept:
        beside = chosen.get((one.study_uid, one.answer.target))
        if one.answer.role is Role.SHADOW and beside is not None:
            key = _model(beside), _model(one.answer), one.answer.target
            pairs[key].append((beside, one.answer))
    return tuple(_compared(*key, pairs[key]) for key in sorted(pairs))


def _compared(
    chosen: ModelName, shadow: ModelName, target: Target, pairs: Sequence[tuple[ModelAnswer, ModelAnswer]]
) -> ModelComparison:
    whole = [(one, other) for one, other in pairs if other.state is not AnswerState.FAULT]
    counts = Counter((one.state, other.state) for one, other in whole)
    table = {(one, other): counts[one, other] for one in STATES for other in STATES}
    differences = [
        other.probability - one.probability
        for one, other in whole
        if one.probability is not None and other.probability is not None
    ]
    mean = fmean(differences) if differences else None
    spread = _IN_95_PERCENT * stdev(differences) if len(differences) >= FEW else None
    return ModelComparison(
        chosen=chosen,
        shadow=shadow,
        target=target,
        studies=len(whole),
        faults=len(pairs) - len(whole),
        table=table,
        agreement=sum(table[state, state] for state in STATES) / len(whole) if whole else None,
        kappa=kappa(table) if len(whole) >= FEW else None,
        pairs=len(differences),
        difference=mean,
        limits=None if mean is None or spread is None else (mean - spread, mean + spread),
    )


def _scores(kept: Iterable[KeptAnswer], group: Callable[[ModelAnswer], str]) -> tuple[Scores, ...]:
    groups: dict[tuple[ModelName, Target, str], list[ModelAnswer]] = defaultdict(list)
    for one in kept:
        if one.answer.state is not AnswerState.FAULT:
            groups[_model(one.answer), one.answer.target, group(one.answer)].append(one.answer)
    return tuple(_scores_of(*key, groups[key]) for key in sorted(groups))


def _scores_of(model: ModelName, target: Target, group: str, answers: Sequence[ModelAnswer]) -> Scores:
    known = [
        (one.probability, one.threshold)
        for one in answers
        if one.probability is not None and one.threshold is not None
    ]
    scores = [probability for probability, _ in known]
    above = [probability >= threshold for probability, threshold in known]
    return Scores(
        model=model,
        target=target,
        group=group,
        studies=len(answers),
        scores=len(scores),
        quartiles=_quartiles(scores),
        above=fmean(above) if above else None,
    )


def _quartiles(scores: Sequence[float]) -> tuple[float, float, float] | None:
    if not scores:
        return None
    # One value has no quantiles for the library.
    low, middle, high = quantiles([*scores, *scores] if len(scores) == 1 else scores, method="inclusive")
    return low, middle, high


def _model(answer: ModelAnswer) -> ModelName:
    return ModelName(answer.name, answer.version, answer.bundle)
