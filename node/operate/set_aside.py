"""A study is set aside: nothing more is done with it, or sent of it, until an operator acts."""

from datetime import datetime

from node.domain.study import TRANSITIONS, StudyEvent
from node.errors import PermanentError
from node.ports import OperatorCommands
from node.show.why import words_of

__all__ = ["set_aside"]

_REASON = "an operator set it aside"


def set_aside(store: OperatorCommands, study_uid: str, now: datetime) -> None:
    """Set a study aside; an analysis or a transfer that is under way is not recorded.

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
