"""Judges the condition of each part of the node, and puts it in words."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from node.domain.backoff import Breaker
from node.domain.drift import ScannerRange, ScannerState
from node.domain.nodes import NodeRole, SeenNode
from node.domain.notice import NoticeFigures
from node.domain.status import (
    ArchiveStatus,
    Condition,
    DestinationStatus,
    Disk,
    FailedStudies,
    OutboxFigures,
    Station,
    SweepRun,
)
from node.domain.wish import OPEN_WISH_STATES, WishState

__all__ = [
    "WAIT_FOR_OPERATOR",
    "abandoned",
    "ago",
    "judge_archive",
    "judge_database",
    "judge_destination",
    "judge_disk",
    "judge_failed_studies",
    "judge_listener",
    "judge_model",
    "judge_nodes",
    "judge_notices",
    "judge_scanners",
    "judge_sources",
    "judge_timers",
    "judge_workers",
    "left_over",
]

WAIT_FOR_OPERATOR = timedelta(days=7)
"""How long a failed study counts; after that, the site is taken to have decided to leave it."""
_LATE = timedelta(minutes=1)
_LONG_WAIT = timedelta(hours=1)
_WATERMARKS_LEFT = 2


def judge_listener(*, listening: bool, associations: int, most: int) -> Station:
    """Judge whether the node accepts associations."""
    if not listening:
        return Station("Listener", Condition.FAULT, "It does not listen.", turns_away=True)
    count = "1 association is" if associations == 1 else f"{associations or 'No'} associations are"
    if associations >= most:
        return Station("Listener", Condition.CONCERN, f"{count} open, and no more are allowed.")
    return Station("Listener", Condition.WELL, f"It listens. {count} open.")


def judge_disk(disk: Disk) -> Station:
    """Judge whether enough disk is free for images.

    Examples
    --------
    >>> judge_disk(Disk(free_bytes=100, watermark_bytes=200)).turns_away
    True
    """
    left, watermark = _size(disk.free_bytes), _size(disk.watermark_bytes)
    if disk.free_bytes < disk.watermark_bytes:
        words = f"{left} are free, less than the watermark of {watermark}: senders are told to come later."
        return Station("Disk", Condition.FAULT, words, turns_away=True)
    if disk.free_bytes < _WATERMARKS_LEFT * disk.watermark_bytes:
        return Station("Disk", Condition.CONCERN, f"{left} are free, near the watermark of {watermark}.")
    return Station("Disk", Condition.WELL, f"{left} are free; the watermark is {watermark}.")


def judge_workers(workers: int, since: Sequence[datetime], waits: datetime | None, now: datetime) -> Station:
    """Judge whether the workers keep up.

    Parameters
    ----------
    workers : int
        Number of worker processes that analyse.
    since : sequence of datetime
        When each of the busy ones began its study.
    waits : datetime or None
        Since when the first study waits for a worker; None if none waits.
    now : datetime
        The present moment.
    """
    busy = f"{len(since)} of {workers} {'analyses' if len(since) == 1 else 'analyse'}"
    if since:
        busy += f", the longest for {ago(now - min(since))}"
    if waits is not None and now - waits > _LONG_WAIT:
        words = f"{busy}. A study has waited {ago(now - waits)} for its turn."
        return Station("Workers", Condition.CONCERN, words)
    return Station("Workers", Condition.WELL, f"{busy}.")


def judge_nodes(seen: Sequence[SeenNode]) -> Station:
    """Judge whether the nodes that only analyse do so; one that was stopped properly is not among them.

    Examples
    --------
    >>> judge_nodes([]).words
    'No other node analyses.'
    """
    analysing = [one for one in seen if one.entry.role is NodeRole.ANALYSE]
    vanished = [one for one in analysing if not one.is_alive]
    waiting = [one for one in analysing if one.is_alive and one.entry.waits]
    working = [one for one in analysing if one.is_alive and not one.entry.waits]
    parts = [
        *(f"{one.entry.name} has vanished: no sign of life for {ago(one.silent_for)}" for one in vanished),
        *(f"{one.entry.name} analyses nothing: {one.entry.waits}" for one in waiting),
        *(f"{one.entry.name} analyses {_studies(len(one.studies))}" for one in working),
    ]
    condition = Condition.CONCERN if vanished or waiting else Condition.WELL
    return Station("Nodes", condition, f"{'; '.join(parts) or 'No other node analyses'}.")


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count or 'no'} studies"


def judge_timers(runs: Sequence[SweepRun], now: datetime) -> Station:
    """Judge whether every sweep still runs at its interval, and how its last run ended."""
    late = [
        run
        for run in runs
        if run.ended_at is not None and now - run.ended_at > timedelta(seconds=3 * run.interval_s) + _LATE
    ]
    if late or not runs:
        names = ", ".join(f"{run.name} for {ago(now - (run.ended_at or now))}" for run in late) or "nothing"
        return Station("Timers", Condition.FAULT, f"What should run and does not: {names}.")
    broken = [run.name for run in runs if run.broke]
    if broken:
        words = f"Met a fault, which the log tells: {', '.join(broken)}."
        return Station("Timers", Condition.CONCERN, words)
    latest = max(run.ended_at or run.began_at for run in runs)
    return Station(
        "Timers", Condition.WELL, f"All {len(runs)} sweeps come round, the last {ago(now - latest)} ago."
    )


def judge_failed_studies(found: FailedStudies, now: datetime) -> Station:
    """Judge whether failed studies wait for an operator; the node continues with all others.

    Examples
    --------
    >>> judge_failed_studies(FailedStudies(), datetime(2030, 1, 1)).words
    'No study waits for a person.'
    """
    if not found.count:
        return Station("Set aside", Condition.WELL, "No study waits for a person.")
    last = ago(now - max(study.changed_at for study in found.latest))
    words = f"{found.count} studies wait for a person, the last of them for {last}."
    if found.count == 1:
        words = f"1 study has waited for a person for {last}."
    return Station("Set aside", Condition.CONCERN, words)


def judge_scanners(ranges: Iterable[ScannerRange]) -> Station:
    """Judge whether the images of scanners are like what the model was trained on.

    Examples
    --------
    >>> judge_scanners([ScannerRange(ScannerState.INSIDE), ScannerRange(ScannerState.LEFT)]).words
    'The images of a scanner have left the training range of the model (1 of 2 scanners and sequences).'
    """
    states = [one.state for one in ranges]
    left, leaving = states.count(ScannerState.LEFT), states.count(ScannerState.LEAVING)
    if left:
        words = "The images of a scanner have left the training range of the model"
        counted = f"({left} of {len(states)} scanners and sequences)"
        return Station("Scanners", Condition.CONCERN, f"{words} {counted}.")
    words = "No scanner has left the training range of the model."
    if leaving:
        words = "More images of a scanner than usual lie far from the training of the model."
    return Station("Scanners", Condition.WELL, words)


def judge_model(name: str, version: str, *, simulated: bool, fault: str = "") -> Station:
    """Say what predicts; `name` is empty where nothing does, which the site has chosen.

    `fault` says why the model cannot be read, and is empty if it can.

    Examples
    --------
    >>> judge_model("", "", simulated=False).words
    'No model is configured: results are measurements and outlines only.'
    """
    if fault:
        words = f"{fault[0].upper()}{fault[1:]}: every study is set aside until it is whole."
        return Station("Prediction", Condition.FAULT, words)
    if not name:
        words = "No model is configured: results are measurements and outlines only."
    elif simulated:
        words = f"{name} {version}, trained on simulated patients: its answers are not for clinical use."
    else:
        words = f"{name} {version}."
    return Station("Prediction", Condition.WELL, words)


def judge_database(fault: str) -> Station:
    """Judge whether the database answers; `fault` says why it does not, and is empty if it does."""
    if fault:
        return Station("Database", Condition.FAULT, f"{fault[0].upper()}{fault[1:]}.", turns_away=True)
    return Station("Database", Condition.WELL, "It answers.")


def judge_sources(breakers: Mapping[str, Breaker]) -> Station:
    """Judge whether the sources that are asked for their counts of images answer; by AE title.

    Without these counts a series is judged by its geometry and by how its association ended.

    Examples
    --------
    >>> judge_sources({"SCANNER": Breaker()}).words
    'Every source that is asked for its counts answers.'
    """
    faults = [
        f"{source} gives no counts: {there.reason}" for source, there in breakers.items() if there.failures
    ]
    if not faults:
        return Station("Sources", Condition.WELL, "Every source that is asked for its counts answers.")
    return Station("Sources", Condition.CONCERN, f"{'; '.join(faults)}.")


def judge_notices(
    breakers: Mapping[str, Breaker], figures: Mapping[str, NoticeFigures], now: datetime
) -> Station:
    """Judge whether the contacts can be told what there is to tell.

    Parameters
    ----------
    breakers : mapping of str to Breaker
        The contacts, by name.
    figures : mapping of str to NoticeFigures
        Of the contacts, by name.
    now : datetime
        The present moment.

    Examples
    --------
    >>> judge_notices({"it": Breaker()}, {}, datetime(2030, 1, 1)).words
    'Every notification got through.'
    """
    faults = []
    for name, breaker in breakers.items():
        there = figures.get(name, NoticeFigures())
        if breaker.failures:
            faults.append(f"{name} cannot be told: {breaker.reason}; {there.waiting} wait")
        elif there.failed:
            faults.append(f"{there.failed} for {name} were given up: {there.reason}")
        elif there.oldest is not None and now - there.oldest > _LONG_WAIT:
            faults.append(f"{there.waiting} wait for {name}, the oldest for {ago(now - there.oldest)}")
    if not faults:
        return Station("Notifications", Condition.WELL, "Every notification got through.")
    return Station("Notifications", Condition.CONCERN, f"{'; '.join(faults)}.")


def judge_destination(outbox: OutboxFigures, breaker: Breaker, now: datetime) -> tuple[Condition, str]:
    """Judge a destination by whether it can be reached, and by how long results wait for it."""
    waiting = _objects(outbox.waiting)
    if outbox.oldest is not None:
        waiting += f", the oldest for {ago(now - outbox.oldest)}"
    if breaker.failures:
        tries = "try" if breaker.failures == 1 else f"{breaker.failures} tries"
        words = f"The last {tries} failed: {breaker.reason}. {waiting}; nothing is lost."
        if breaker.open_until is not None and breaker.open_until > now:
            words += f" Tried again in {ago(breaker.open_until - now)}."
        return Condition.CONCERN, words
    if outbox.oldest is not None and now - outbox.oldest > _LONG_WAIT:
        return Condition.CONCERN, f"{waiting}."
    return Condition.WELL, f"{waiting}." if outbox.waiting else "Nothing waits for it."


def judge_archive(
    counts: Mapping[WishState, int], breaker: Breaker, rests: str, now: datetime
) -> tuple[Condition, str]:
    """Judge an archive by whether it can be reached; `rests` says why not everything is asked for now.

    Examples
    --------
    >>> judge_archive({WishState.WAITING: 3}, Breaker(), "", datetime(2030, 1, 1))
    (<Condition.WELL: 0>, '3 studies are still to be fetched.')
    """
    waiting = sum(counts.get(state, 0) for state in OPEN_WISH_STATES)
    words = "1 study is" if waiting == 1 else f"{waiting} studies are"
    told = f"{words} still to be fetched" if waiting else "Nothing is to be fetched"
    if breaker.failures:
        tries = "try" if breaker.failures == 1 else f"{breaker.failures} tries"
        told = f"The last {tries} failed: {breaker.reason}. {told}; nothing is lost."
        if breaker.open_until is not None and breaker.open_until > now:
            told += f" Tried again in {ago(breaker.open_until - now)}."
        return Condition.CONCERN, told
    return Condition.WELL, f"{told}; {rests}." if waiting and rests else f"{told}."


def abandoned(name: str, outbox: OutboxFigures) -> DestinationStatus:
    """Describe a destination that is no longer configured, but for which results wait."""
    words = f"{_objects(outbox.waiting)}, and no destination has this name any more."
    return DestinationStatus(name, "not configured", Condition.CONCERN, words, outbox, Breaker())


def left_over(name: str, counts: Mapping[WishState, int]) -> ArchiveStatus | None:
    """Describe an archive that is no longer configured, but from which studies are still to be fetched.

    Examples
    --------
    >>> left_over("old", {WishState.WAITING: 1, WishState.FETCHED: 7}).words
    '1 study is still to be fetched, and no archive has this name any more.'
    >>> left_over("old", {WishState.FETCHED: 7})
    """
    waiting = sum(counts.get(state, 0) for state in OPEN_WISH_STATES)
    if not waiting:
        return None
    verb = "1 study is" if waiting == 1 else f"{waiting} studies are"
    words = f"{verb} still to be fetched, and no archive has this name any more."
    return ArchiveStatus(name, "not configured", Condition.CONCERN, words, counts, Breaker())


def ago(length: timedelta) -> str:
    """Write a length of time in its two largest units.

    Examples
    --------
    >>> ago(timedelta(seconds=0.4)), ago(timedelta(seconds=200)), ago(timedelta(hours=50))
    ('0 s', '3 min 20 s', '2 d 2 h')
    """
    seconds = max(0, int(length.total_seconds()))
    parts: list[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"


def _objects(count: int) -> str:
    return "1 object waits" if count == 1 else f"{count} objects wait"


def _size(count: int) -> str:
    megabytes = count / 1024**2
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"
