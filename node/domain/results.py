"""What a worker hands back for one study."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Outcome", "ResultFile", "ResultKind"]


class ResultKind(StrEnum):
    """The kinds of object a destination can ask for, by their names in config.toml."""

    SR = "sr"
    SEG = "seg"
    TEXT = "text"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One result object on disk.

    Attributes
    ----------
    kind : ResultKind
        What it is.
    path : Path
        A DICOM Part 10 file.
    sop_class_uid, sop_instance_uid : str
        Its identity, the same for the same inputs, model and configuration.
    """

    kind: ResultKind
    path: Path
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the analysis of a study ended.

    Attributes
    ----------
    results : tuple of ResultFile
        What to send back; empty for a refusal.
    refusals : tuple of str
        Why nothing is reported, in words and without patient data; empty for a report.
    summary : dict of str to str
        A line per answer for the operator's log and pages, without patient data
        ("Osteoporosis": "12 % (95 % interval 4 % to 22 %), unlikely").
    """

    results: tuple[ResultFile, ...]
    refusals: tuple[str, ...]
    summary: dict[str, str]
