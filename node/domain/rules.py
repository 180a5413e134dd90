"""What the node takes of what arrives: a list of rules, of which the first that applies decides.

A header often lacks what a rule asks for, and what a header does not say never discards:

- a rule that discards applies only if all of its conditions are known to hold;
- a rule that takes applies unless one of its conditions is known not to hold;
- a series to which no rule applies is taken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import TypeAlias

from node.domain.facts import Facts
from node.domain.glob import ANYTHING, covers, matches

__all__ = [
    "ATTRIBUTES",
    "AgeRange",
    "HiddenRule",
    "Rule",
    "TextCondition",
    "Verdict",
    "discards_everything",
    "hidden_rules",
    "judge",
]

Answer: TypeAlias = bool | None
"""Whether a condition holds; None if the header does not say."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "source": ("source",),
    "station": ("station",),
    "institution": ("institution",),
    "modality": ("modality",),
    "manufacturer": ("manufacturer",),
    "model": ("model",),
    "protocol": ("protocol",),
    "body_part": ("body_part",),
    "description": ("study_description", "series_description"),
    "study_description": ("study_description",),
    "series_description": ("series_description",),
}
"""Texts that a condition can look at, and the attributes of `Facts` that hold them."""
_OLDEST = 1000


@dataclass(frozen=True, slots=True)
class TextCondition:
    """A condition on one of `ATTRIBUTES`: some wanted pattern takes its text, and no unwanted one.

    Attributes
    ----------
    attribute : str
        Key of `ATTRIBUTES`.
    wanted : tuple of str
        Patterns, see `node.domain.glob`; an empty one takes a missing text. With none, every text will do.
    unwanted : tuple of str
        Patterns, too.
    """

    attribute: str
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def answer(self, facts: Facts) -> Answer:
        """Tell whether it holds."""
        texts = self.texts(facts)
        takes = partial(_takes, is_whole=facts.is_whole)
        is_wanted = _any(takes(one, text) for one, text in product(self.wanted, texts))
        is_unwanted = _any(takes(one, text) for one, text in product(self.unwanted, texts))
        return _all((is_wanted if self.wanted else True, None if is_unwanted is None else not is_unwanted))

    def texts(self, facts: Facts) -> tuple[str | None, ...]:
        """Return the texts that it looks at."""
        return tuple(getattr(facts, name) for name in ATTRIBUTES[self.attribute])

    def includes(self, other: "Condition") -> bool:
        """Tell whether it surely holds wherever another one holds."""
        if not isinstance(other, TextCondition) or other.attribute != self.attribute:
            return False
        theirs = other.wanted or ("", ANYTHING)
        return (
            not self.wanted or all(any(_is_within(one, mine) for mine in self.wanted) for one in theirs)
        ) and all(any(_is_within(mine, one) for one in other.unwanted) for mine in self.unwanted)

    def __str__(self) -> str:
        patterns = (*self.wanted, *(f"!{one}" for one in self.unwanted))
        return f"{self.attribute} = {', '.join(patterns) or 'missing'}"

    @property
    def is_impossible(self) -> bool:
        """Whether no text can meet it, because all that is wanted is unwanted too."""
        theirs = self.wanted or ("", ANYTHING)
        return all(any(_is_within(one, other) for other in self.unwanted) for one in theirs)


@dataclass(frozen=True, slots=True)
class AgeRange:
    """A condition on the age in completed years: at least `least` and below `below`."""

    least: int = 0
    below: int = _OLDEST
    attribute: str = field(default="age", init=False)

    def answer(self, facts: Facts) -> Answer:
        """Tell whether it holds."""
        return None if facts.age_years is None else self.least <= facts.age_years < self.below

    def texts(self, facts: Facts) -> tuple[str | None, ...]:
        """Return the age as a text."""
        return (None if facts.age_years is None else f"{facts.age_years} years",)

    def includes(self, other: "Condition") -> bool:
        """Tell whether it surely holds wherever another one holds."""
        return isinstance(other, AgeRange) and self.least <= other.least and other.below <= self.below

    def __str__(self) -> str:
        least = f"from {self.least} " if self.least else ""
        below = f"below {self.below} " if self.below < _OLDEST else ""
        return f"age {least}{below}".strip()

    @property
    def is_impossible(self) -> bool:
        """Whether no age can meet it."""
        return self.least >= self.below


Condition: TypeAlias = TextCondition | AgeRange


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: whether series that meet all of its conditions are taken.

    Attributes
    ----------
    name : str
        Its name in the log, the metrics and answers.
    take : bool
        Whether they are taken; otherwise they are discarded.
    conditions : tuple of Condition
        At most one for each attribute; with none, it applies to every series.
    """

    name: str
    take: bool
    conditions: tuple[Condition, ...] = ()

    def answer(self, facts: Facts) -> Answer:
        """Tell whether all of its conditions hold."""
        return _all(condition.answer(facts) for condition in self.conditions)

    def unknown(self, facts: Facts) -> tuple[str, ...]:
        """Return the attributes that it asks for and the header lacks."""
        return tuple(one.attribute for one in self.conditions if one.answer(facts) is None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a series is taken.

    Attributes
    ----------
    take : bool
        Whether it is.
    rule : Rule or None
        The rule that decided; None if no rule applies.
    unknown : tuple of str
        Attributes that this rule asks for and the header lacks.
    spared_by : tuple of (Rule, tuple of str)
        Rules before it that would perhaps discard the series, and what the header lacks of each.
    """

    take: bool
    rule: Rule | None = None
    unknown: tuple[str, ...] = ()
    spared_by: tuple[tuple[Rule, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class HiddenRule:
    """A rule that decides about nothing, or nearly so.

    Attributes
    ----------
    rule : Rule
        The rule.
    by : Rule or None
        An earlier rule that decides about all of its series; None if its own conditions exclude each other.
    is_certain : bool
        False if it can still apply where a header lacks what the earlier rule, or without one this rule,
        asks for.
    """

    rule: Rule
    by: Rule | None
    is_certain: bool = True


def judge(rules: Sequence[Rule], facts: Facts) -> Verdict:
    """Judge a series by the first rule that applies.

    Examples
    --------
    >>> rules = (Rule("brain", take=False, conditions=(TextCondition("description", ("*brain*",)),)),)
    >>> judge(rules, Facts(study_description="mr", series_description="t1 brain")).take
    False
    >>> judge(rules, Facts()).take
    True
    """
    spared: list[tuple[Rule, tuple[str, ...]]] = []
    for rule in rules:
        answer = rule.answer(facts)
        if answer or (answer is None and rule.take):
            return Verdict(rule.take, rule, rule.unknown(facts), tuple(spared))
        if answer is None:
            spared.append((rule, rule.unknown(facts)))
    return Verdict(take=True, spared_by=tuple(spared))


def hidden_rules(rules: Sequence[Rule]) -> Iterator[HiddenRule]:
    """Find the rules that can never apply, each with the first reason.

    A rule that several earlier ones hide together is not found.
    """
    for position, rule in enumerate(rules):
        # A rule that takes also applies where the header is silent, and one that discards does not.
        if any(condition.is_impossible for condition in rule.conditions):
            yield HiddenRule(rule, None, is_certain=not rule.take)
            continue
        by = next((one for one in rules[:position] if _hides(one, rule)), None)
        if by is not None:
            yield HiddenRule(rule, by, is_certain=by.take or not rule.take or not by.conditions)


def discards_everything(rules: Sequence[Rule]) -> Rule | None:
    """Return the rule that discards every series, if no rule before it takes any."""
    for rule in rules:
        if rule.take:
            return None
        if not rule.conditions:
            return rule
    return None


def _hides(earlier: Rule, rule: Rule) -> bool:
    return all(any(wide.includes(one) for one in rule.conditions) for wide in earlier.conditions)


def _takes(pattern: str, text: str | None, *, is_whole: bool) -> Answer:
    if text is None:
        return True if is_whole and not pattern else None
    return bool(pattern) and matches(pattern, text)


def _is_within(narrow: str, wide: str) -> bool:
    """Tell whether all that one pattern takes is surely taken by the other.

    The empty pattern takes a missing text only, and every other pattern only a text that is there.
    """
    return narrow == wide if not (narrow and wide) else covers(wide, narrow)


def _any(answers: Iterable[Answer]) -> Answer:
    """Join answers by "or": one that holds is enough, and one that is not known may hold."""
    found = set(answers)
    return True if True in found else (None if None in found else False)


def _all(answers: Iterable[Answer]) -> Answer:
    """Join answers by "and"."""
    found = set(answers)
    return False if False in found else (None if None in found else True)
