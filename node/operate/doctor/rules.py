"""Checks of the rules: that each of them can apply, and that they take anything at all."""

from collections.abc import Iterator

from node.config import Configuration
from node.domain.rules import HiddenRule, discards_everything, hidden_rules
from node.operate.doctor.result import CheckResult, Severity

__all__ = ["rules"]


def rules(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that every rule can apply, and that something is taken."""
    found = configuration.rules
    hidden = tuple(hidden_rules(found))
    for one in hidden:
        yield CheckResult(
            Severity.WARNING, f"rule {one.rule.name}", _why(one),
            "The first rule that applies decides: put the narrower rule first, or remove this one.",
        )  # fmt: skip
    if (everything := discards_everything(found)) is not None:
        yield CheckResult(
            Severity.WARNING, f"rule {everything.name}", "it discards everything, and no rule above it takes",
            "Add a rule with take = true above it.",
        )  # fmt: skip
    elif not hidden:
        count = len(found)
        told = "none: all that arrives is taken" if not count else f"each of the {count} can apply"
        yield CheckResult(Severity.GOOD, "rules", told)


def _why(hidden: HiddenRule) -> str:
    if hidden.by is None:
        told = "its conditions exclude each other"
        return f"{told}: it " + (
            "can never apply" if hidden.is_certain else "applies only where a header lacks what they ask for"
        )
    if hidden.is_certain:
        return f'it can never apply: rule "{hidden.by.name}" above it decides about all of its series'
    return (
        f'it applies only where a header lacks what rule "{hidden.by.name}" above it asks for; '
        "all its other series are discarded by that rule"
    )
