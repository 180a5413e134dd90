"""The event that is sent, as values that JSON can hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from node.domain.notice import Notice, NoticeBatch, NoticeKind, study_key

__all__ = ["Event", "Identify", "event_of", "nobody", "trial_event"]

_TYPE_PREFIX = "osteonode."

Identify = Callable[[str], Mapping[str, str]]
"""Returns what identifies the patient of a study, by Study Instance UID; empty if that is not to be told."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event for one contact.

    Attributes
    ----------
    identifier : str
        The same at each attempt.
    kind : NoticeKind
        What it tells.
    at : datetime
        When that happened; of many, the first.
    node : str
        AE title of the node.
    data : mapping of str to object
        What there is to tell, in values that JSON can hold.
    """

    identifier: str
    kind: NoticeKind
    at: datetime
    node: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def studies(self) -> list[Mapping[str, Any]]:
        """The studies that it is about; empty if it is about none."""
        return list(self.data.get("studies", ()))

    @property
    def simulated(self) -> bool:
        """Whether it tells an answer of a model that was trained on simulated patients."""
        return any(study.get("simulated") for study in self.studies)

    def cloud_event(self) -> dict[str, Any]:
        """Return it as a CloudEvent in JSON.

        References
        ----------
        CloudEvents 1.0.2, JSON event format.
        """
        return {
            "specversion": "1.0",
            "id": self.identifier,
            "source": f"/osteonode/{quote(self.node, safe='')}",
            "type": f"{_TYPE_PREFIX}{self.kind.value}",
            "time": self.at.isoformat(),
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }


def nobody(_study_uid: str) -> Mapping[str, str]:
    """Identify no patient."""
    return {}


def event_of(batch: NoticeBatch, node: str, identify: Identify = nobody) -> Event:
    """Return the event that tells a batch of notices.

    Parameters
    ----------
    batch : NoticeBatch
        What is told.
    node : str
        AE title of the node.
    identify : callable, optional
        Asked for each study; by default no patient is identified.
    """
    first = batch.notices[0]
    at = min(notice.at for notice in batch.notices)
    if first.study_uid:
        data: dict[str, Any] = {"studies": [_study(notice, identify) for notice in batch.notices]}
    else:
        data = dict(first.facts)
    return Event(batch.identifier, batch.kind, at, node, {"node": node, **data})


def trial_event(identifier: str, at: datetime, node: str) -> Event:
    """Return an event that tells nothing, to try the way to a contact."""
    return Event(identifier, NoticeKind.TEST, at, node, {"node": node})


def _study(notice: Notice, identify: Identify) -> dict[str, Any]:
    key, at = study_key(notice.study_uid), notice.at.isoformat()
    return {"study": key, "at": at, **notice.facts, **identify(notice.study_uid)}
