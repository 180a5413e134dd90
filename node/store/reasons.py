"""Writes reasons as JSON, with their values, and reads them back, so that they can be put in any language."""

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from analysis.domain.acquisition import Contrast, Plane
from analysis.domain.findings import Target
from analysis.domain.reason import Reason, quoted

__all__ = ["ENUMERATIONS", "reasons_of", "text_of"]

ENUMERATIONS: Mapping[str, type[Enum]] = MappingProxyType(
    {kind.__name__: kind for kind in (Contrast, Plane, Target)}
)
"""The enumerations whose members a reason may hold."""


def text_of(reasons: Sequence[Reason]) -> str:
    """Write reasons as JSON.

    Examples
    --------
    >>> text_of([Reason("few_above_sacrum", count=2)]).partition(", ")[0]
    '[{"code": "few_above_sacrum"'
    >>> [reason.code for reason in reasons_of(text_of([Reason("no_body"), Reason("sacrum_not_found")]))]
    ['no_body', 'sacrum_not_found']
    """
    return json.dumps([_written(reason) for reason in reasons], ensure_ascii=False)


def reasons_of(text: str) -> tuple[Reason, ...]:
    """Read what `text_of` wrote; a reason whose code no longer exists becomes a quotation of its sentence."""
    return tuple(_read(one) for one in json.loads(text))


def _written(value: object) -> object:
    if isinstance(value, Reason):
        values = {name: _written(one) for name, one in value.values.items()}
        return {"code": value.code, "values": values, "said": str(value)}
    if isinstance(value, Enum):
        return {"enumeration": type(value).__name__, "member": value.name}
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    if isinstance(value, str):
        return value
    # NumPy's numbers too, which the JSON module cannot write.
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value


def _read(written: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(written, list):
        return tuple(_read(one) for one in written)
    if not isinstance(written, dict):
        return written
    if "enumeration" in written:
        return ENUMERATIONS[written["enumeration"]][written["member"]]
    try:
        return Reason(written["code"], **{name: _read(one) for name, one in written["values"].items()})
    except KeyError:
        return quoted(written["said"])
