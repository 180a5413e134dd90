"""[[rules]] of config.toml: what is taken of what arrives."""

from node.config.checks import between
from node.config.table import Table
from node.domain.glob import ANYTHING, LONGEST_TEXT, fold
from node.domain.rules import ATTRIBUTES, AgeRange, Condition, Rule, TextCondition

__all__ = ["MOST_RULES", "rule"]

MOST_RULES = 100
_MOST_PATTERNS = 100
_NOT = "!"
_LONGEST_NAME = 40
_OLDEST = AgeRange().below


def rule(table: Table) -> Rule:
    """Read one element of the array."""
    name = table.require("name", "rule", check=_name)
    take = table.require("take", default=True)
    conditions = [_texts(table, key) for key in ATTRIBUTES]
    return Rule(name, take, tuple(one for one in (*conditions, _age(table)) if one is not None))


def _texts(table: Table, key: str) -> Condition | None:
    patterns = table.text_or_texts(key)
    if not patterns:
        return None
    wrong = next((fault for one in patterns if (fault := _fault(one, key))), None)
    if wrong or len(patterns) > _MOST_PATTERNS:
        table.fault(key, wrong or f"may hold no more than {_MOST_PATTERNS} patterns")
    wanted = tuple(fold(one) for one in patterns if not one.startswith(_NOT))
    unwanted = tuple(fold(one.removeprefix(_NOT)) for one in patterns if one.startswith(_NOT))
    return TextCondition(key, wanted, unwanted)


def _fault(pattern: str, key: str) -> str | None:
    if len(pattern) > LONGEST_TEXT:
        return f"must hold patterns of no more than {LONGEST_TEXT} characters"
    if not fold(pattern.removeprefix(_NOT)) and len(ATTRIBUTES[key]) > 1:
        return 'looks at two texts, so "" is not clear: write study_description or series_description'
    if pattern.startswith(_NOT) and fold(pattern.removeprefix(_NOT)) == ANYTHING:
        return '"!*" takes nothing that is there: for a missing text write ""'
    return None


def _age(table: Table) -> Condition | None:
    check = between(0, _OLDEST)
    least, below = table.take("age_from", 0, check=check), table.take("age_below", _OLDEST, check=check)
    if not (table.has("age_from") or table.has("age_below")):
        return None
    if least >= below:
        table.fault("age_below", "must be above age_from")
    return AgeRange(least, below)


def _name(value: str) -> str | None:
    if 0 < len(value) <= _LONGEST_NAME and value.isprintable() and value == value.strip():
        return None
    return f"must be 1 to {_LONGEST_NAME} printable characters"
