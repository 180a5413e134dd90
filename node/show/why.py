"""Why a study has no result, in one paragraph, for `osteonode why` and the status page."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from node.domain.completeness import never_fell_quiet
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.notice import Notice, NoticeState
from node.domain.records import CONFLICT, IDENTITY_REPLACED, Delivery, Discarded, HistoryEntry, Study
from node.domain.study import StudyEvent, StudyState
from node.domain.wish import Wish, WishState
from node.ports import StudyReader

__all__ = ["MEANING", "MEANING_OF_WISH", "explain", "time_of", "words_of"]

MEANING = {
    StudyState.RECEIVING: "images are still coming; it is looked at once none came for the quiet time",
    StudyState.SETTLED: "it fell quiet and its headers are being read",
    StudyState.NOT_FOR_US: "it holds nothing that this node analyses",
    StudyState.WAITING_FOR_PAIR: "something is missing, and the node waits for it",
    StudyState.READY: "it waits for a free worker",
    StudyState.ANALYSING: "it is being analysed",
    StudyState.REPORTED: "its results were made and are about to be put into the outbox",
    StudyState.REFUSED: "it cannot be analysed honestly",
    StudyState.FAILED: "it was set aside for a person to look at",
    StudyState.DELIVERING: "its results were made and wait to be taken by a destination",
    StudyState.DELIVERED: "its results were sent",
}
"""What each state of a study means, in words for the user."""
MEANING_OF_WISH = {
    WishState.WAITING: "is to be fetched from {archive}, and waits for its turn",
    WishState.JUDGING: "is to be fetched from {archive}, which is being asked for its series",
    WishState.FETCHING: "is being fetched from {archive}",
    WishState.FETCHED: "was fetched from {archive}",
    WishState.HERE: "was to be fetched from {archive}, and had come already",
    WishState.NOT_FOR_US: "was looked for in {archive}, and nothing of it was taken",
    WishState.NOT_FOUND: "was not found in {archive}",
    WishState.FAILED: "could not be fetched from {archive}, and is not asked for again by itself",
    WishState.CANCELLED: "is not fetched from {archive}",
}
"""What each state of a wish means, in words for the user."""
_ADVICE = {
    StudyState.NOT_FOR_US: "If it should be analysed, send sagittal T1 and T2 images of the lumbar spine.",
    StudyState.REFUSED: "Send what is missing, and the study is looked at again by itself.",
    StudyState.FAILED: "Mend the cause, then run `osteonode retry` with this UID.",
    StudyState.DELIVERING: "Nothing is lost; each destination is tried again until it answers.",
}

_OTHER_RULES = "To have it analysed, change [[rules]], and send or fetch it again."


def explain(
    store: StudyReader,
    study_uid: str,
    destinations: Collection[str] | None = None,
    notices: Sequence[Notice] = (),
) -> str:
    """Answer "why has this study no result?" in one paragraph, without patient data.

    Parameters
    ----------
    store : StudyReader
        Holds the studies.
    study_uid : str
        Study Instance UID.
    destinations : collection of str, optional
        Names of the configured destinations; results that wait for any other are pointed out.
    notices : sequence of Notice, optional
        The notices about the study; those that did not get through are pointed out.
    """
    study, wishes, discarded = store.study(study_uid), store.wishes(study_uid), store.discarded(study_uid)
    if study is None and (wishes or discarded):
        return _not_here(study_uid, wishes, discarded)
    if study is None:
        return f"Nothing of study {study_uid} ever arrived here. Was it sent to this AE title and port?"
    deliveries = store.deliveries(study_uid)
    count = store.count_instances(study_uid)
    parts = [
        f"Study {study_uid} is {words_of(study.state)}: {MEANING[study.state]}.",
        _sentence("The reason", study.reason),
        _sentence("Why it counts as complete", _judged(store.history(study_uid), study.revision)),
        _sentence("Its results", _unchanged(store.history(study_uid), study.revision)),
        f"{count} {'image is' if count == 1 else 'images are'} here.",
        _discarded(discarded),
        _corrected(len(store.quarantined(study_uid, CONFLICT))),
        _under_another_identity(len(store.quarantined(study_uid, IDENTITY_REPLACED))),
        *(_wish_sentence(wish) for wish in wishes),
        f"The first came at {time_of(study.first_arrival)}, the last at {time_of(study.last_arrival)}.",
        f"It is in this state since {time_of(study.changed_at)}.",
        _sentence("Tried without success", f"{study.attempts} times" if study.attempts else ""),
        _when(study),
        _never_quiet(study),
        *_delivery_sentences(deliveries),
        _stranded(deliveries, destinations),
        *_notice_sentences(notices),
        _ADVICE.get(study.state, ""),
    ]
    return " ".join(part for part in parts if part)


def _not_here(study_uid: str, wishes: Sequence[Wish], discarded: Sequence[Discarded]) -> str:
    """Say what is known of a study of which no image is kept."""
    first = [_wish_sentence(wish) for wish in wishes] or [f"Nothing of study {study_uid} is here."]
    return " ".join([*first, *([_discarded(discarded), _OTHER_RULES] if discarded else [])])


def _wish_sentence(wish: Wish) -> str:
    """Say what became of the wish to fetch a study."""
    meaning = MEANING_OF_WISH[wish.state].format(archive=wish.archive)
    why = f" ({wish.reason.rstrip('.')})" if wish.reason else ""
    waits = wish.is_open and wish.not_before > wish.changed_at
    again = f"; it is tried again at {time_of(wish.not_before)}" if waits else ""
    return f"Study {wish.study_uid} {meaning}{why}{again}."


def words_of(state: StudyState | WishState) -> str:
    """Return a state in words, without underscores."""
    return state.value.replace("_", " ")


def _judged(history: Sequence[HistoryEntry], revision: int) -> str:
    """Return why the present revision of a study was judged complete; empty if it was not."""
    found = [
        step.reason for step in history if step.event is StudyEvent.FOUND_READY and step.revision == revision
    ]
    return found[-1] if found else ""


def _unchanged(history: Sequence[HistoryEntry], revision: int) -> str:
    """Return whether the analysis of the present revision changed nothing, in words; empty otherwise."""
    told = [
        step.reason for step in history if step.event is StudyEvent.REPORTED and step.revision == revision
    ]
    return told[-1] if told else ""


def _discarded(discarded: Sequence[Discarded]) -> str:
    if not discarded:
        return ""
    told = ", ".join(f'{one.count} by the rule "{one.rule}"' for one in discarded)
    last = max(one.last_at for one in discarded)
    return f"Of what was sent of it, objects were discarded: {told}, the last at {time_of(last)}."


def _corrected(count: int) -> str:
    if not count:
        return ""
    return f"{count} of them came again with other bytes; the first stand, and the others are in quarantine."


def _under_another_identity(count: int) -> str:
    if not count:
        return ""
    return (
        f"{count} of them came again under another identity of the patient, which counts now; results under "
        "the earlier one are superseded, and the images under it are in quarantine."
    )


def time_of(moment: datetime) -> str:
    """Format a moment for the user."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _sentence(subject: str, text: str) -> str:
    return f"{subject}: {text.rstrip('.')}." if text else ""


def _when(study: Study) -> str:
    if study.deadline is None:
        return ""
    if study.state is StudyState.REFUSED:
        return "The report that tells the archive so is still to be written."
    return f"The node looks at it again at {time_of(study.deadline)}."


def _never_quiet(study: Study) -> str:
    if study.state is not StudyState.RECEIVING or not never_fell_quiet(study.changed_at, study.last_arrival):
        return ""
    return "New images have come all this time without a pause: ask whoever sends them whether that is meant."


def _delivery_sentences(deliveries: Sequence[Delivery]) -> list[str]:
    """Sum up the deliveries to each destination in a sentence, without superseded ones."""
    by_destination: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.state is not DeliveryState.SUPERSEDED:
            by_destination[delivery.destination].append(delivery)
    return [_destination_sentence(name, theirs) for name, theirs in by_destination.items()]


def _stranded(deliveries: Sequence[Delivery], destinations: Collection[str] | None) -> str:
    """Say what to do about results that wait for a destination that is no longer configured."""
    waiting = {one.destination for one in deliveries if one.state in OPEN_DELIVERY_STATES}
    gone = sorted(waiting - set(waiting if destinations is None else destinations))
    if not gone:
        return ""
    return (
        f"No destination is called {' or '.join(gone)} any more: give it back its name, or let "
        "`osteonode retry` with this UID send to those that are configured now."
    )


def _notice_sentences(notices: Sequence[Notice]) -> list[str]:
    """Say which contacts do not know of the study what they are to be told."""
    unsent = [one for one in notices if one.state is not NoticeState.SENT]
    words = {NoticeState.WAITING: "waits", NoticeState.FAILED: "was given up"}
    return [
        f"The notification to {one.contact} {words[one.state]}{f' ({one.reason})' if one.reason else ''}."
        for one in unsent
    ]


def _destination_sentence(name: str, deliveries: Sequence[Delivery]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for delivery in deliveries:
        counts[delivery.state.value] += 1
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    reasons = dict.fromkeys(delivery.reason for delivery in deliveries if delivery.reason)
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"To {name}: {summary}{why}."
