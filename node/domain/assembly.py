"""What to do with a study that fell quiet, decided from its headers alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from analysis.domain.acquisition import Contrast
from node.domain.study import StudyEvent

__all__ = ["Decision", "Examination", "Patience", "decide"]

_PAIR = frozenset({Contrast.T1, Contrast.T2})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a study is waited for.

    Attributes
    ----------
    quiet : timedelta
        Without any new instance it counts as sent.
    wait : timedelta
        After its first instance, for a sequence or slice that is missing.
    """

    quiet: timedelta
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Examination:
    """What the headers of a study tell.

    Attributes
    ----------
    whole : frozenset of Contrast
        The contrasts of those series that can be analysed: lumbar, sagittal, T1 or T2, an even stack.
    broken : tuple of str
        Why series that we would analyse cannot be: a slice is missing, two lie at one place.
    others : tuple of str
        What the remaining series are, and why they are not for us.
    """

    whole: frozenset[Contrast]
    broken: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The next event of a study, with its reason and when to look again."""

    event: StudyEvent
    reason: str
    deadline: datetime | None = None


def decide(examination: Examination, now: datetime, wait_until: datetime) -> Decision:
    """Tell what becomes of a study.

    A broken series may only be late: it gets the same time as a missing sequence, and after that the study is
    refused rather than analysed in part. A whole series is not held back for ever by a broken one.

    Parameters
    ----------
    examination : Examination
        Of all instances that are there.
    now : datetime
        The time.
    wait_until : datetime
        End of the wait for what is missing.
    """
    if examination.whole == _PAIR:
        return Decision(StudyEvent.FOUND_READY, "T1 and T2 are there", now)
    if not examination.whole and not examination.broken:
        reasons = examination.others or ("it holds no MR images",)
        return Decision(StudyEvent.FOUND_NOTHING, "; ".join(reasons))
    missing = tuple(f"{contrast} is not there" for contrast in sorted(_PAIR - examination.whole))
    why = "; ".join((*(missing if examination.whole else ()), *examination.broken))
    if now < wait_until:
        return Decision(StudyEvent.FOUND_HALF, why, wait_until)
    if examination.whole:
        return Decision(StudyEvent.FOUND_READY, f"waited long enough: {why}", now)
    return Decision(StudyEvent.REFUSED, "; ".join(examination.broken))
