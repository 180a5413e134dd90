"""Tries the rules on files, as the listener would judge them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.decode import files_below
from node.decode.reading import identity_of
from node.domain.facts import Facts, facts_of, keywords_of
from node.domain.header import InstanceIdentity
from node.domain.rules import Rule, Verdict, judge

__all__ = ["Trial", "TriedSeries", "conditions_of", "try_rules"]


@dataclass(frozen=True, slots=True)
class TriedSeries:
    """Images of one series that are judged alike.

    Attributes
    ----------
    series_uid : str
        Series Instance UID.
    images : int
        Number of images.
    facts : Facts
        What their headers say.
    verdict : Verdict
        Whether they are taken.
    """

    series_uid: str
    images: int
    facts: Facts
    verdict: Verdict

    @property
    def why(self) -> str:
        """Which rule decided and why, in words."""
        rule, silent = self.verdict.rule, self.verdict.unknown
        if rule is None:
            told = "no rule applies"
        elif silent:
            told = f'rule "{rule.name}" may apply: the header lacks {_listed(silent)}'
        else:
            told = f'rule "{rule.name}"{_seen(rule, self.facts)}'
        spared = (
            f'rule "{other.name}" does not apply, because the header lacks {_listed(missing)}'
            for other, missing in self.verdict.spared_by
        )
        return "; ".join((told, *spared))


@dataclass(frozen=True, slots=True)
class Trial:
    """What the rules make of some files.

    Attributes
    ----------
    series : tuple of TriedSeries
        In the order in which they were found.
    unreadable : int
        Number of files that hold no DICOM object, or one whose identity cannot be read.
    """

    series: tuple[TriedSeries, ...]
    unreadable: int


def try_rules(rules: Sequence[Rule], paths: Iterable[Path], source: str = "") -> Trial:
    """Judge all objects in files.

    Parameters
    ----------
    rules : sequence of Rule
        In their order.
    paths : iterable of Path
        Files, or folders that hold them.
    source : str, optional
        AE title that sends them; empty if it is not known.

    Raises
    ------
    FileNotFoundError
        If one of the paths does not exist.
    """
    counts: Counter[tuple[str, Facts]] = Counter()
    unreadable = 0
    for path in files_below(paths):
        identity = _identity(path)
        if identity is None:
            unreadable += 1
        else:
            counts[identity.series_uid, facts_of(keywords_of(identity.raw_facts), source)] += 1
    series = (TriedSeries(uid, count, facts, judge(rules, facts)) for (uid, facts), count in counts.items())
    return Trial(tuple(series), unreadable)


def conditions_of(rule: Rule) -> str:
    """Return the conditions of a rule in words, as they stand in the configuration."""
    return "; ".join(str(condition) for condition in rule.conditions) or "every series"


def _identity(path: Path) -> InstanceIdentity | None:
    try:
        return identity_of(path, with_facts=True)
    except Exception:  # noqa: BLE001 - a folder may hold files of any kind, damaged in any way
        return None


def _seen(rule: Rule, facts: Facts) -> str:
    """Return the texts that the conditions of a rule look at."""
    seen = (
        f"{condition.attribute} is {' / '.join(text or 'not given' for text in condition.texts(facts))}"
        for condition in rule.conditions
    )
    told = ", ".join(seen)
    return f": {told}" if told else " applies to every series"


def _listed(attributes: Sequence[str]) -> str:
    return " and ".join(attribute.replace("_", " ") for attribute in attributes)
