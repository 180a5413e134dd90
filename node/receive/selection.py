"""Which of the received objects the rules discard; judged in the reader's thread, so each answer is kept."""

from collections.abc import Sequence
from functools import lru_cache, partial

from node.domain.facts import facts_of, keywords_of
from node.domain.header import InstanceIdentity
from node.domain.rules import Rule, judge

__all__ = ["RulesInForce", "Selection"]

_REMEMBERED = 256
"""Answers that are kept; all objects of a series have the same, and few series are received at one time."""
_RawFacts = tuple[tuple[int, bytes], ...]


class RulesInForce:
    """The rules of the configuration, for all associations that begin under them.

    Parameters
    ----------
    rules : sequence of Rule
        In their order.
    """

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)
        self._answers = lru_cache(maxsize=_REMEMBERED)(self._judge)

    def of_source(self, source: str) -> "Selection":
        """Return them for the objects of one association of this AE title."""
        return Selection(self, source)

    def discarded_by(self, source: str, raw_facts: _RawFacts) -> str:
        """Return the name of the rule that discards what a source sends; empty if it is taken."""
        return self._answers(source, raw_facts)

    @property
    def are_none(self) -> bool:
        """Whether everything is taken."""
        return not self._rules

    def _judge(self, source: str, raw_facts: _RawFacts) -> str:
        verdict = judge(self._rules, facts_of(keywords_of(raw_facts), source))
        return "" if verdict.take or verdict.rule is None else verdict.rule.name


class Selection:
    """The rules for the objects of one association; they stay the same until it ends.

    Otherwise rules that change meanwhile would leave half a series.

    Parameters
    ----------
    rules : RulesInForce, optional
        The rules; without any, everything is taken.
    source : str, optional
        AE title of the sender.

    Attributes
    ----------
    needs_facts : bool
        Whether `discarded_by` needs the facts of a header.
    """

    def __init__(self, rules: RulesInForce | None = None, source: str = "") -> None:
        self.needs_facts = rules is not None and not rules.are_none
        self._discarded_by = partial((rules or RulesInForce()).discarded_by, source)

    def discarded_by(self, identity: InstanceIdentity) -> str:
        """Return the name of the rule that discards an object; empty if it is taken."""
        return self._discarded_by(identity.raw_facts) if self.needs_facts else ""
