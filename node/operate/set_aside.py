"""`osteonode set-aside`: nothing more is done with it, or sent of it, until an operator acts."""

from datetime import datetime

from node.domain.study import TRANSITIONS, StudyEvent
from node.errors import PermanentError
from node.ports import OperatorCommands
from node.show.why import words_of

__all__ = ["set_aside"]

_REASON = "an operator set it aside"
_DONE = "It is set aside. Nothing more is done with it until somebody retries or purges it."


def set_aside(store: OperatorCommands, study_uid: str, now: datetime) -> str:
    """Set a study aside, and say so; an analysis or a transfer that is under way is not recorded.

    Raises
    ------
    PermanentError
        If the study is unknown, or nothing is being done with it.
    """
    study = store.study(study_uid)
    if study is None:
        raise PermanentError(f"study {study_uid} is unknown here")
    if (study.state, StudyEvent.SET_ASIDE) not in TRANSITIONS:
        raise PermanentError(f"the study is {words_of(study.state)}; there is nothing to set aside")
    if not store.set_aside(study, _REASON, now):
        raise PermanentError("the study changed in this moment; look again")
    return _DONE
