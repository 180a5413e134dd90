"""`osteonode resend`: the results that are kept are sent once more, without another analysis."""

from collections.abc import Collection, Sequence
from datetime import datetime

from node.config import Configuration
from node.domain.records import NewResult, Result, Study
from node.domain.study import TRANSITIONS, StudyEvent
from node.domain.wish import brought_by
from node.errors import PermanentError
from node.ports import OperatorCommands, StoredFiles
from node.show.why import words_of

__all__ = ["resend_study"]


def resend_study(
    store: OperatorCommands,
    files: StoredFiles,
    configuration: Configuration,
    study_uid: str,
    *,
    now: datetime,
    to: str = "",
) -> tuple[str, ...]:
    """Queue the current results of a study for its destinations, even if these have them already.

    Parameters
    ----------
    store, files : OperatorCommands, StoredFiles
        See `node.ports`.
    configuration : Configuration
        Its destinations say which kinds of result they want.
    study_uid : str
        Study Instance UID.
    now : datetime
        The time.
    to : str, optional
        Name of the only destination to send to; by default all of them.

    Returns
    -------
    tuple of str
        Names of the destinations to which something is sent.

    Raises
    ------
    PermanentError
        If there is nothing to send, or nowhere to send it to; the message says why.
    """
    # An operator who names a destination may send there what the rules of an archive keep here.
    among = configuration.receivers_of(brought_by(store.wishes(study_uid)), now.date())
    names = tuple(name for name in _destinations(configuration, to) if to or name in among)
    study = store.study(study_uid)
    if study is None:
        raise PermanentError(f"study {study_uid} is unknown here")
    current = [one for one in store.results(study_uid) if one.current]
    _check(study, current, files)
    results = [_again(one, configuration, names) for one in current]
    if not names:
        raise PermanentError(
            "it was fetched from an archive of which results_to or results_not_older_than_days keep its "
            "results here; name the destination with --to to send them all the same"
        )
    receivers = {name for one in results for name in one.destinations}
    if not receivers:
        raise PermanentError(f"none of its results is of a kind that {' or '.join(names)} wants")
    if not store.send_again(study, results, now):
        raise PermanentError("it changed, or its results are being sent, at this moment; look again")
    return tuple(name for name in names if name in receivers)


def _destinations(configuration: Configuration, to: str) -> tuple[str, ...]:
    known = tuple(there.name for there in configuration.destinations)
    if not known:
        raise PermanentError("no destination is configured")
    if to and to not in known:
        raise PermanentError(f"no destination is called {to}; there are: {', '.join(known)}")
    return (to,) if to else known


def _check(study: Study, current: Sequence[Result], files: StoredFiles) -> None:
    """Raise an error unless these are the results of what the study holds now, and their files are there."""
    state = words_of(study.state)
    if (study.state, StudyEvent.RESENT) not in TRANSITIONS:
        raise PermanentError(f"the study is {state}; results can be sent again once it has new ones")
    if not current:
        raise PermanentError(f"the study is {state} and has no results")
    if current[0].revision != study.revision:
        raise PermanentError(
            f"the study is {state}, and its results are of earlier images: `osteonode retry` makes new ones"
        )
    gone = sum(not (files.results / one.name).is_file() for one in current)
    if gone:
        raise PermanentError(
            f"{gone} of its {len(current)} result files were removed (retention, or `osteonode purge`): "
            "send its images again"
        )


def _again(result: Result, configuration: Configuration, names: Collection[str]) -> NewResult:
    """Return a recorded result with those of some destinations that want it."""
    wanting = configuration.receivers(result.kind, result.sop_class_uid)
    return result.queued_for(tuple(name for name in wanting if name in names))
