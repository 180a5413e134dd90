"""Observations of earlier result sets that a later one does not have any more."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["withdraw_others"]

_KEPT = ("category", "code", "bodySite", "method", "derivedFrom")
_OF_REPORT = ("subject", "effectiveDateTime", "issued")


def withdraw_others(bundle: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a transaction that withdraws, too, what earlier ones of the study observed and it does not.

    Otherwise a server would hold the measurements of a series or vertebra that is not used any more as if
    they were valid. Each becomes `entered-in-error`, and loses its values.

    Parameters
    ----------
    bundle : mapping
        The transaction of a result set, from `fhir_report` or `fhir_refusal`.
    earlier : iterable of mapping
        Transactions of earlier result sets of the same study.
    """
    report = bundle["entry"][0]["resource"]
    context = {key: report[key] for key in _OF_REPORT if key in report}
    named = {one["request"]["url"] for one in bundle["entry"]}
    observed = {
        one["request"]["url"]: one
        for before in earlier
        for one in before["entry"]
        if one["resource"]["resourceType"] == "Observation" and one["request"]["url"] not in named
    }
    withdrawn = [_withdrawn(observed[url], context) for url in sorted(observed)]
    return {**bundle, "entry": [*bundle["entry"], *withdrawn]}


def _withdrawn(entry: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    known = entry["resource"]
    resource = {
        "resourceType": "Observation",
        "identifier": known["identifier"],
        "status": "entered-in-error",
        **{key: known[key] for key in _KEPT if key in known},
        # The patient of the report in force: the identity may have been corrected since.
        **context,
    }
    return {**entry, "resource": resource}
