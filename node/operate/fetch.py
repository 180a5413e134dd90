"""`osteonode fetch`: a person asks for studies of an archive; the running node fetches them."""

import csv
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import NoReturn
from uuid import uuid4

from analysis.cohort.cells import read_rows
from analysis.errors import RefusedError
from node.clock import SystemClock
from node.config import ArchiveSettings, Configuration
from node.domain.archive import ArchiveQuery, FoundStudy
from node.domain.audit import Party
from node.domain.records import Instance
from node.domain.wish import (
    Batch,
    BatchFigures,
    NewWish,
    Outcome,
    Priority,
    Taken,
    WishEnd,
    outcome_of,
)
from node.errors import PermanentError, TransientError
from node.fetch.archives.audited import QuestionTrail
from node.fetch.archives.opening import open_archive
from node.fetch.putting import put_all
from node.fetch.questions import find_all
from node.operate.order_trail import audit_of_command
from node.ports import Archive, Store, Transfer, WishBook

__all__ = [
    "Answer",
    "Preview",
    "archive_called",
    "by_accession",
    "by_dates",
    "by_study",
    "named_batches",
    "order",
    "preview",
    "question_archive",
    "sum_up",
]

_MOST_BATCHES = 1000
_NAMES_OF_COLUMN = {
    "accession", "accessions", "accessionnumber", "accessionnumbers", "accessionno", "accessionnr",
}  # fmt: skip
_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)
_PAUSES_S = (1.0, 4.0, 15.0)
_LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an archive has of what was asked for.

    Attributes
    ----------
    words : str
        What was asked for, without patient data.
    studies : tuple of FoundStudy
        The studies, each once.
    missing : tuple of str
        What it does not have, as places in the list that was given.
    """

    words: str
    studies: tuple[FoundStudy, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do, in counts.

    Attributes
    ----------
    found, missing : int
        Studies that the archive has, and entries of the list that it does not have.
    before : int
        Studies that were asked for before.
    images : int
        Images of the studies, as far as the archive tells; only those of some series are fetched.
    kept_here : int
        Studies that are too old for their results to be sent.
    """

    found: int
    missing: int
    before: int
    images: int
    kept_here: int


def archive_called(configuration: Configuration, name: str) -> ArchiveSettings:
    """Return the archive of a name, or the only one if the name is empty.

    Raises
    ------
    PermanentError
        If there is none, or several and no name.
    """
    known = {one.name: one for one in configuration.archives}
    if not known:
        raise PermanentError("no archive is configured: see [[archives]] in config.toml")
    if not name and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        told = f"no archive is called {name}" if name else "there are several archives; name one with --from"
        raise PermanentError(f"{told}; there are: {', '.join(known)}")
    return known[name]


@contextmanager
def question_archive(configuration: Configuration, settings: ArchiveSettings) -> Iterator[Archive]:
    """Make an archive that can be asked what it has, and sends nothing; the audit trail tells who asked."""
    with audit_of_command(configuration) as (audit, client):
        yield open_archive(
            settings,
            configuration.node.ae_title,
            intake=_NoIntake(),
            held=_nothing,
            stopping=Event(),
            trail=QuestionTrail(audit, SystemClock(), client),
        )


class _NoIntake:
    """The `Intake` port of a program that is no node."""

    def open(self, sender: Party, study_uid: str, series_uid: str) -> AbstractContextManager[Transfer]:
        """Refuse to take images."""
        del sender, study_uid, series_uid
        _refuse()

    def watch_discards(self, study_uid: str, series_uid: str) -> AbstractContextManager[Mapping[str, str]]:
        """Refuse, too."""
        del study_uid, series_uid
        _refuse()


def _refuse() -> NoReturn:
    raise PermanentError("only a running node takes images")


def _nothing(_study_uid: str) -> Collection[Instance]:
    return ()


def by_study(archive: Archive, uids: Sequence[str]) -> Answer:
    """Ask for studies by their UIDs.

    Raises
    ------
    TransientError, PermanentError
        See `node.ports.Archive`.
    """
    found: list[FoundStudy] = []
    missing: list[str] = []
    for uid in dict.fromkeys(uids):
        there = find_all(archive, ArchiveQuery(study_uid=uid))
        found += there
        missing += [] if there else [uid]
    return Answer("one study" if len(uids) == 1 else "studies by UID", tuple(found), tuple(missing))


def by_dates(archive: Archive, since: date, until: date) -> Answer:
    """Ask for the MR studies of a range of dates, both included.

    Raises
    ------
    TransientError, PermanentError
        See `node.ports.Archive`.
    """
    found = find_all(archive, ArchiveQuery(since=since, until=until))
    return Answer(f"{since.isoformat()}..{until.isoformat()}", tuple(found))


def by_accession(
    archive: Archive, file: Path, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Answer:
    """Ask for studies by the accession numbers in a CSV or Excel file.

    They stand in the column that is called "accession" or "accession number", or else in the first one.

    Raises
    ------
    TransientError, PermanentError
        See `node.ports.Archive`; also if the file cannot be read or names nothing.
    """
    numbers = _accession_numbers(file)
    found: dict[str, FoundStudy] = {}
    missing = []
    for done, (number, line) in enumerate(numbers.items(), 1):
        try:
            there = _patiently(partial(find_all, archive, ArchiveQuery(accession_number=number)))
        except PermanentError as error:
            raise PermanentError(f"line {line} of {file.name}: {error}") from error
        found |= {one.study_uid: one for one in there}
        # The number itself would tell who the patient is.
        missing += [] if there else [f"line {line}"]
        progress(done, len(numbers))
    return Answer(f"{len(numbers)} accession numbers", tuple(found.values()), tuple(missing))


def _patiently(ask: Callable[[], Sequence[FoundStudy]]) -> Sequence[FoundStudy]:
    """Ask again after a fault that may pass: it must not cost a list of thousands of numbers."""
    for pause_s in _PAUSES_S:
        try:
            return ask()
        except TransientError as error:
            time.sleep(max(pause_s, min(_LONGEST_WAIT_S, getattr(error, "wait_s", 0.0))))
    return ask()


def _accession_numbers(file: Path) -> dict[str, int]:
    """Return each accession number with the first line that it stands in."""
    try:
        read = read_rows(file, _worth)
    except RefusedError:
        raise PermanentError(f"{file.name} cannot be read as a list; save it as CSV") from None
    rows = [(line, [cell.strip(" \t\r\n\0\xa0") for cell in row]) for line, row in read if any(row)]
    column = 0
    if rows:
        named = [at for at, title in enumerate(rows[0][1]) if _names_column(title)]
        column, rows = (named[0], rows[1:]) if named else (0, rows)
    numbers: dict[str, int] = {}
    for line, row in rows:
        if len(row) > column and row[column]:
            if _ROUNDED.fullmatch(row[column]):
                told = f"line {line} of {file.name}: a spreadsheet has rounded this number; keep it as text"
                raise PermanentError(told)
            numbers.setdefault(row[column], line)
    if not numbers:
        raise PermanentError(f"{file.name} names no accession number")
    return numbers


def _worth(first_line: str, delimiter: str) -> tuple[bool, int]:
    """Tell how well a delimiter fits: programs write a semicolon or a tab where a comma parts decimals."""
    cells = next(csv.reader([first_line], delimiter=delimiter), [])
    return any(map(_names_column, cells)), len(cells)


def _names_column(title: str) -> bool:
    letters = "".join(character for character in title.lower() if character.isalpha())
    return letters in _NAMES_OF_COLUMN


def preview(
    store: Store, configuration: Configuration, archive: str, answer: Answer, now: datetime
) -> Preview:
    """Count what an order would do, and put nothing."""
    theirs = {
        one.study_uid: any(wish.archive == archive for wish in store.wishes(one.study_uid))
        for one in answer.studies
    }
    rules = next(one.fetching for one in configuration.archives if one.name == archive)
    limit = rules.results_not_older_than_days
    ages = [None if one.study_date is None else (now.date() - one.study_date).days for one in answer.studies]
    return Preview(
        found=len(answer.studies),
        missing=len(answer.missing),
        before=sum(theirs.values()),
        images=sum(one.images or 0 for one in answer.studies),
        kept_here=sum(bool(limit) and (age is None or age > limit) for age in ages),
    )


def order(
    book: WishBook, archive: str, answer: Answer, now: datetime, *, urgent: bool, sends_old: bool
) -> tuple[Batch, Taken]:
    """Put the studies of an answer as a batch, which a running node begins to fetch at once."""
    batch = Batch(
        f"{archive}-{now:%Y%m%d-%H%M%S}-{uuid4().hex[:4]}",
        archive,
        answer.words,
        now,
        Priority.LIVE if urgent else Priority.BACKLOG,
        sends_old=sends_old,
        missing=answer.missing,
    )
    wishes = [NewWish(one.study_uid, one.study_date, one.images) for one in answer.studies]
    taken = put_all(book, batch, wishes, now, renew=True)
    return replace(batch, before=taken.before), taken


def named_batches(book: WishBook, name: str, archive: str) -> tuple[BatchFigures, ...]:
    """Return the batch of a name, or without one all that still have something to do.

    Raises
    ------
    PermanentError
        If there is none.
    """
    every = [one for one in book.batches(_MOST_BATCHES) if not archive or one.batch.archive == archive]
    found = [one for one in every if one.batch.name == name] if name else [o for o in every if o.still_open]
    if not found:
        raise PermanentError(f"no batch is called {name}" if name else "no batch has anything left to do")
    return tuple(found)


def sum_up(ends: Iterable[WishEnd], missing: Sequence[str]) -> list[tuple[Outcome, str, int]]:
    """Count what became of the studies of a batch, by outcome and reason, the most frequent first."""
    counts = Counter(outcome_of(one) for one in ends)
    if missing:
        counts[Outcome.NOT_FOUND, f"the archive has no MR study of: {', '.join(missing)}"] += len(missing)
    order_of = list(Outcome)
    rows = [(outcome, reason, count) for (outcome, reason), count in counts.items()]
    return sorted(rows, key=lambda row: (order_of.index(row[0]), -row[2], row[1]))
