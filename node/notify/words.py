"""An event in words, for an e-mail."""

from collections.abc import Callable, Mapping
from typing import Any

from dicom_templates.words.texts import Texts
from node.domain.notice import NoticeKind
from node.notify.event import Event

__all__ = ["body", "subject"]

_GIGABYTE = 1024**3
_SIMULATED = "SIMULATED MODEL, not for clinical use"
_IDENTITY = {
    "patient_id": "Patient ID",
    "accession_number": "Accession number",
    "study_uid": "Study Instance UID",
}


def subject(event: Event) -> str:
    """Return the subject of an e-mail, in one line."""
    warning = f"{_SIMULATED}: " if event.simulated else ""
    return _in_one_line(f"[OsteoNode {event.node}] {warning}{_HEADS[event.kind](event.data)}")


def body(event: Event) -> str:
    """Return the text of an e-mail."""
    lines = [f"{_HEADS[event.kind](event.data)}."]
    if event.simulated:
        lines += ["", f"{_SIMULATED}: the model was trained on simulated patients."]
    for study in event.studies:
        lines += ["", *_study_lines(study)]
    lines += ["", _ADVICE.get(event.kind, ""), "", f"Node {event.node}, {event.at:%Y-%m-%d %H:%M:%S %Z}"]
    lines.append(f"Event {event.identifier}. This message was made by OsteoNode; nobody reads answers to it.")
    return "\n".join(map(_in_one_line, lines)) + "\n"


def _in_one_line(words: str) -> str:
    """Leave out line ends and control characters, which a header of an image may hold."""
    return " ".join("".join(one if one.isprintable() else " " for one in words).split())


def _study_lines(study: Mapping[str, Any]) -> list[str]:
    told = [f"{words}: {study[key]}" for key, words in _IDENTITY.items() if study.get(key)]
    reason = [f"Reason: {study['reason']}"] if study.get("reason") else []
    answers = [_answer(answer) for answer in study.get("answers", ())]
    model = [f"Model: {study['model']}"] if study.get("model") else []
    return [f"Study {study['study']}, {study['at']}", *told, *reason, *answers, *model]


def _answer(answer: Mapping[str, Any]) -> str:
    # As in the reports, which never claim certainty.
    probability, threshold = map(Texts("en").percent, (answer["probability"], answer["threshold"]))
    return (
        f"{answer['target'].capitalize()}: probability {probability}, {answer['verdict']} the decision "
        f"threshold of {threshold}"
    )


def _studies(count: int, one: str, many: str) -> str:
    return f"1 study {one}" if count == 1 else f"{count} studies {many}"


def _set_aside(data: Mapping[str, Any]) -> str:
    return _studies(len(data["studies"]), "was set aside", "were set aside")


def _result(data: Mapping[str, Any]) -> str:
    count = len(data["studies"])
    return f"{_studies(count, 'has', 'have')} a result that meets the condition"


def _down(data: Mapping[str, Any]) -> str:
    why = f": {data['reason']}" if data.get("reason") else ""
    return f"Destination {data['destination']} cannot be reached{why}"


def _up(data: Mapping[str, Any]) -> str:
    return f"Destination {data['destination']} is reached again; it was down since {data['since']}"


def _ends(data: Mapping[str, Any]) -> str:
    return f"{data['certificate'].capitalize()} ends on {data['ends'][:10]}, in {data['days_left']} days"


def _fills(data: Mapping[str, Any]) -> str:
    lasts = data.get("days_left")
    for_days = "" if lasts is None else f"; at the rate of the last week it lasts {lasts:g} days"
    return f"The disk fills up: {_size(data['free_bytes'])} are free{for_days}"


def _full(data: Mapping[str, Any]) -> str:
    return f"The disk is full: {_size(data['free_bytes'])} are free, and images are turned away"


def _left(data: Mapping[str, Any]) -> str:
    counted = f"{data['far']} of {data['latest_studies']} recent studies"
    return f"{_images(data)} differ from what the model was trained on ({counted})"


def _back(data: Mapping[str, Any]) -> str:
    return f"{_images(data)} are no longer counted as different, as they were since {data['since'][:10]}"


def _images(data: Mapping[str, Any]) -> str:
    return f"{data['sequence']} images of the scanner {data['scanner']}"


def _size(count: float) -> str:
    return f"{count / _GIGABYTE:.1f} GB"


_HEADS: Mapping[NoticeKind, Callable[[Mapping[str, Any]], str]] = {
    NoticeKind.SET_ASIDE: _set_aside,
    NoticeKind.RESULT: _result,
    NoticeKind.DESTINATION_DOWN: _down,
    NoticeKind.DESTINATION_UP: _up,
    NoticeKind.CERTIFICATE_ENDS: _ends,
    NoticeKind.DISK_FILLS: _fills,
    NoticeKind.DISK_FULL: _full,
    NoticeKind.SCANNER_LEFT: _left,
    NoticeKind.SCANNER_BACK: _back,
    NoticeKind.TEST: lambda _data: "A test: notifications get through",
}
_ADVICE: Mapping[NoticeKind, str] = {
    NoticeKind.SET_ASIDE: "`osteonode why` and the key of a study tell more; `osteonode retry` tries again.",
    NoticeKind.RESULT: "The report of the study tells more. No decision should be based on this message.",
    NoticeKind.DESTINATION_DOWN: "Nothing is lost: results wait, and are sent once it answers.",
    NoticeKind.CERTIFICATE_ENDS: "From then on connections fail. A renewed file needs no restart.",
    NoticeKind.DISK_FILLS: "Make room, or shorten [storage] retention_days.",
    NoticeKind.SCANNER_LEFT: "Was a protocol, a coil or the software of the scanner changed? "
    "`osteonode scanners` tells more.",
    NoticeKind.DISK_FULL: "Senders are told to come later. Make room, or shorten [storage] retention_days.",
}
