"""The answers of commands as JSON; docs/json.md describes them, and docs/schema holds their schemas.

A field is never removed or given another meaning without an entry in the changelog. The words of messages
and reasons may change; programs compare states, codes and actions.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from analysis.domain.reason import coded

if TYPE_CHECKING:
    from node.analyse.folder import StudyOutcome
    from node.domain.model_comparison import Comparison, ModelComparison, ModelName, Scores
    from node.domain.records import Delivery, Study
    from node.domain.rules import Rule
    from node.domain.wish import BatchFigures, WishEnd
    from node.operate.doctor import CheckResult
    from node.operate.fetch import Answer, Preview
    from node.operate.rule_trial import Trial
    from node.operate.verify import ReportCheck
    from node.show.scanners import ScannerView

__all__ = [
    "batch",
    "candidate",
    "check",
    "comparison",
    "delivery",
    "outcome",
    "previewed",
    "report_check",
    "rule_trial",
    "rules",
    "scanner",
    "study",
]


def candidate(one: "Study") -> dict[str, str]:
    """Return what tells one study from another: UID, state, and the day on which its last image came."""
    day = one.last_arrival.date().isoformat()
    return {"study_uid": one.study_uid, "state": one.state.value, "day": day}


def study(one: "Study") -> dict[str, object]:
    """Return a study as `studies` lists it."""
    return {
        "study_uid": one.study_uid,
        "state": one.state.value,
        "changed_at": _moment(one.changed_at),
        "first_arrival": _moment(one.first_arrival),
        "last_arrival": _moment(one.last_arrival),
        "next_look_at": None if one.deadline is None else _moment(one.deadline),
        "attempts": one.attempts,
        "reason": one.reason,
        "reasons": coded(one.reasons),
    }


def scanner(one: "ScannerView") -> dict[str, object]:
    """Return a scanner as `scanners` lists it, as the model reads one of its sequences."""
    since, accepted_at = one.range.since, one.range.accepted_at
    return {
        "id": one.identifier,
        "scanner": one.subject.scanner,
        "sequence": one.subject.basis,
        "model_digest": one.subject.bundle,
        "state": one.range.state.value,
        "since": None if since is None else _moment(since),
        "accepted_at": None if accepted_at is None else _moment(accepted_at),
        "far": one.far,
        "studies": one.studies,
        "left_with": None
        if (left := one.range.departure(one.subject.basis)) is None
        else {"far": left.far, "studies": left.studies},
        "months": [
            {
                "month": it.month,
                "studies": it.studies,
                "far": it.far,
                "outside": it.outside,
                "median_distance": round(it.distance, 4),
            }
            for it in one.months
        ],
    }


def delivery(one: "Delivery") -> dict[str, object]:
    """Return a result on its way to a destination."""
    return {
        "destination": one.destination,
        "kind": one.result.kind.value,
        "sop_instance_uid": one.result.sop_uid,
        "current": one.result.current,
        "state": one.state.value,
        "attempts": one.attempts,
        "status": one.status,
        "reason": one.reason,
    }


def batch(one: "BatchFigures", ends: "Sequence[WishEnd]") -> dict[str, object]:
    """Return an order of `fetch` with what became of its studies."""
    from node.domain.wish import outcome_of
    from node.operate.fetch import sum_up

    each = [(end.study_uid, *outcome_of(end)) for end in ends]
    return {
        "batch": one.batch.name,
        "archive": one.batch.archive,
        "asked": one.batch.words,
        "paused": one.batch.paused,
        "found": len(ends) + one.batch.before,
        "asked_for_before": one.batch.before,
        "missing": list(one.batch.missing),
        "outcomes": [
            {"outcome": outcome.value, "reason": reason, "count": count}
            for outcome, reason, count in sum_up(ends, one.batch.missing)
        ],
        "studies": [{"study_uid": uid, "outcome": it.value, "reason": why} for uid, it, why in each],
    }


def previewed(archive: str, found: "Answer", counts: "Preview") -> dict[str, object]:
    """Return what `fetch --dry-run` found."""
    return {
        "batch": None,
        "archive": archive,
        "asked": found.words,
        "paused": False,
        "found": counts.found,
        "asked_for_before": counts.before,
        "missing": list(found.missing),
        "outcomes": [],
        "studies": [{"study_uid": one.study_uid, "outcome": None, "reason": ""} for one in found.studies],
    }


def report_check(one: "ReportCheck") -> dict[str, object]:
    """Return one comparison of `verify`."""
    return {
        "subject": one.subject,
        "verdict": one.outcome.value,
        "details": list(one.details),
        "reasons": coded(one.details),
    }


def comparison(found: "Comparison") -> dict[str, object]:
    """Return how models compare."""
    return {
        "comparisons": [_compared(one) for one in found.models],
        "by_scanner": [{"scanner": one.group, **_scores(one)} for one in found.by_scanner],
        "by_month": [{"month": one.group, **_scores(one)} for one in found.by_month],
    }


def _compared(one: "ModelComparison") -> dict[str, object]:
    return {
        "target": one.target.value,
        "chosen": _model(one.chosen),
        "shadow": _model(one.shadow),
        "studies": one.studies,
        "faults": one.faults,
        "few": one.is_few,
        "answers": [
            {"chosen": chosen.value, "shadow": shadow.value, "count": count}
            for (chosen, shadow), count in one.table.items()
        ],
        "agreement": one.agreement,
        "kappa": one.kappa,
        "pairs": one.pairs,
        "mean_difference": one.difference,
        "limits_of_agreement": None if one.limits is None else list(one.limits),
    }


def _scores(one: "Scores") -> dict[str, object]:
    low, middle, high = one.quartiles or (None, None, None)
    return {
        "target": one.target.value,
        "model": _model(one.model),
        "studies": one.studies,
        "scores": one.scores,
        "few": one.is_few,
        "lower_quartile": low,
        "median": middle,
        "upper_quartile": high,
        "above_threshold": one.above,
    }


def _model(one: "ModelName") -> dict[str, str]:
    return {"name": one.name, "version": one.version, "bundle": one.bundle}


def check(one: "CheckResult") -> dict[str, str]:
    """Return one check of `doctor`."""
    severity = one.severity.name.lower()
    return {"subject": one.subject, "severity": severity, "message": one.message, "remedy": one.remedy}


def outcome(one: "StudyOutcome", findings: Mapping[str, object] | None = None) -> dict[str, object]:
    """Return what `analyse` made of a study, with the content of its findings.json."""
    refusals = (*one.outcome.refusals, *one.outcome.beside) if one.outcome.refusals else ()
    return {
        "study_uid": one.study_uid,
        "fault": one.fault,
        "refusals": list(refusals),
        "reasons": coded(refusals),
        "summary": dict(one.outcome.summary),
        "results": [
            {"kind": it.kind.value, "path": str(it.path), "sop_instance_uid": it.sop_instance_uid}
            for it in one.outcome.results
        ],
        "findings": findings,
    }


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def rule_trial(trial: "Trial") -> dict[str, object]:
    """Return what the rules make of files; by names and codes, as descriptions and ages are of a patient."""
    return {
        "series": [
            {
                "series_uid": one.series_uid,
                "images": one.images,
                "taken": one.verdict.take,
                "rule": None if one.verdict.rule is None else one.verdict.rule.name,
                "missing": list(one.verdict.unknown),
                "spared_by": [
                    {"rule": rule.name, "missing": list(missing)} for rule, missing in one.verdict.spared_by
                ],
            }
            for one in trial.series
        ],
        "unreadable": trial.unreadable,
    }


def rules(configured: "Sequence[Rule]", counts: Mapping[str, tuple[int, int]]) -> list[dict[str, object]]:
    """Return the rules in their order, and then those that are no longer configured."""
    known = {rule.name: rule for rule in configured}
    gone = sorted(set(counts) - set(known))
    return [
        {
            "rule": name,
            "configured": name in known,
            "take": name in known and known[name].take,
            "conditions": [str(one) for one in known[name].conditions] if name in known else [],
            "objects": counts.get(name, (0, 0))[0],
            "studies": counts.get(name, (0, 0))[1],
        }
        for name in (*known, *gone)
    ]
