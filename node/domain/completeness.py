"""Decides what to do with a study that receives no more images, by its headers and how it arrived."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason, told_once, weighting
from node.domain.person import Patient, contradictions, leave_out_issuer
from node.domain.study import StudyEvent

__all__ = [
    "PAIR",
    "Candidate",
    "Count",
    "Decision",
    "Examination",
    "Patience",
    "SeriesDecision",
    "decide",
    "identity_fault",
    "never_fell_quiet",
    "refused",
    "too_many_images",
    "with_arrival_evidence",
]

PAIR = frozenset({Contrast.T1, Contrast.T2})
"""The contrasts of a complete study."""
_LONG = timedelta(hours=1)
"""No examination takes as long; a source that never falls quiet sends the same images again, or is broken."""
_BY_OPERATOR = "a person must decide"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a study is waited for.

    Attributes
    ----------
    quiet : timedelta
        Time without a new instance after which the study counts as sent.
    wait : timedelta
        Time for a missing sequence or slice to arrive, counted from when the study was begun or reopened.
    """

    quiet: timedelta
    wait: timedelta


def never_fell_quiet(begun: datetime, latest: datetime) -> bool:
    """Tell whether new images of a study have come for so long without a pause that an operator must know.

    It is not analysed all the same: each further image would make the result one of a part of the study.

    Parameters
    ----------
    begun, latest : datetime
        When it began to receive, and the latest image.
    """
    return latest - begun >= _LONG


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series to analyse: lumbar, sagittal, T1 or T2.

    Attributes
    ----------
    series_uid : str
        Series Instance UID.
    contrast : Contrast
        T1 or T2.
    images : int
        Number of its images that are stored.
    faults : tuple of Reason
        Why it cannot be analysed: a slice is missing, or two have one position. Empty for a complete series.
    signs : tuple of str
        Evidence that it is complete, and which sources gave none.
    """

    series_uid: str
    contrast: Contrast
    images: int
    faults: tuple[Reason, ...] = ()
    signs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """What is known of the series of a study.

    Attributes
    ----------
    candidates : tuple of Candidate
        The series to analyse.
    unreadable : tuple of Reason
        Why files could not be read; each might belong to a series to analyse.
    others : tuple of str
        What the remaining series are, and why they are not analysed.
    """

    candidates: tuple[Candidate, ...] = ()
    unreadable: tuple[Reason, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def whole(self) -> frozenset[Contrast]:
        """The contrasts that have a complete series."""
        return frozenset(one.contrast for one in self.candidates if not one.faults)

    @property
    def broken(self) -> tuple[Reason, ...]:
        """Why series cannot be analysed that should be."""
        faults = (
            Reason("of_contrast", contrast=one.contrast, fault=fault)
            for one in self.candidates
            for fault in one.faults
        )
        return told_once((*self.unreadable, *faults))

    @property
    def signs(self) -> tuple[str, ...]:
        """Evidence that the complete series are complete, and which sources gave none."""
        return tuple(
            f"{weighting(one.contrast)}: {', '.join(one.signs)}"
            for one in self.candidates
            if one.signs and not one.faults
        )


@dataclass(frozen=True, slots=True)
class SeriesDecision:
    """What was decided of one series of a study, for an operator.

    Attributes
    ----------
    series_uid : str
        Series Instance UID; empty for files that cannot be read.
    description : str
        Modality and number of images.
    is_used : bool
        Whether the results are made of it.
    words : str
        What was decided, and why.
    """

    series_uid: str
    description: str
    is_used: bool
    words: str


@dataclass(frozen=True, slots=True)
class Count:
    """How many images a source has of each series, according to its answer to a query.

    Attributes
    ----------
    source : str
        AE title.
    images : dict of str to int
        NumberOfSeriesRelatedInstances by Series Instance UID.
    fault : str
        Why it gave no answer; empty if it gave one.
    """

    source: str
    images: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The next event of a study.

    Attributes
    ----------
    event : StudyEvent
        What happens to it.
    reason : str
        Why, in words.
    deadline : datetime or None
        When to look again.
    refusals : tuple of Reason
        The reasons, for the report of a refusal; empty for every other event.
    """

    event: StudyEvent
    reason: str
    deadline: datetime | None = None
    refusals: tuple[Reason, ...] = ()


def refused(reasons: tuple[Reason, ...]) -> Decision:
    """Refuse a study for these reasons."""
    return Decision(StudyEvent.REFUSED, "; ".join(reasons), refusals=reasons)


def identity_fault(patient_keys: Collection[str], patients: Collection[Patient]) -> str:
    """Tell why the patient of a study is not certain; empty if all images name the same one.

    Parameters
    ----------
    patient_keys : collection of str
        Of its images; see `node.domain.records.Instance`.
    patients : collection of Patient
        What its images say about their patient.
    """
    if "" not in patient_keys:
        if len(set(patient_keys)) > 1 and not leave_out_issuer(patients):
            return f"its images do not all bear one Patient ID of one issuer: {_BY_OPERATOR}"
        told = " and more than one ".join(contradictions({one.person for one in patients}))
        return f"its images name more than one {told} for one patient: {_BY_OPERATOR}" if told else ""
    if len(set(patient_keys)) == 1:
        return f"its images have no PatientID: {_BY_OPERATOR}"
    return f"some of its images have no PatientID: {_BY_OPERATOR}"


def too_many_images(count: int, most: int) -> str:
    """Tell why a study is not even read; empty if it has no more MR images than may be read.

    The headers of all images of a study are read together, which takes time and memory for each.
    """
    if count <= most:
        return ""
    return f"it has {count} MR images, more than [assembly] max_images = {most} allows"


def with_arrival_evidence(
    examination: Examination, cut_off: Collection[str], counts: Collection[Count]
) -> Examination:
    """Add to an examination how the series arrived, and how many images their sources have.

    Parameters
    ----------
    examination : Examination
        From the headers, whose geometry cannot tell that slices are missing at an end of a stack.
    cut_off : collection of str
        Series Instance UIDs of series whose association was lost and that were not sent again.
    counts : collection of Count
        Of the sources that are asked.
    """
    return replace(
        examination, candidates=tuple(_with_evidence(one, cut_off, counts) for one in examination.candidates)
    )


def _with_evidence(candidate: Candidate, cut_off: Collection[str], counts: Collection[Count]) -> Candidate:
    faults, signs = list(candidate.faults), list(candidate.signs)
    uid, here = candidate.series_uid, candidate.images
    told = {count.source: count.images[uid] for count in counts if uid in count.images}
    faults += [
        Reason("counted_elsewhere", source=source, there=images, here=here)
        for source, images in told.items()
        if images > here
    ]
    signs += [f"{source} counts {images} images too" for source, images in told.items() if images == here]
    signs += [f"{count.source} was not asked: {count.fault}" for count in counts if count.fault]
    # The count of the source is better evidence than how its association ended.
    if uid in cut_off and here not in told.values():
        faults.append(Reason("cut_off"))
    return replace(candidate, faults=tuple(faults), signs=tuple(signs))


def decide(examination: Examination, now: datetime, wait_until: datetime) -> Decision:
    """Decide what happens to a study.

    An incomplete series may merely be late, so it is waited for as long as a missing sequence is. After that
    a study without a complete series is refused; otherwise it is analysed without the incomplete one.

    Parameters
    ----------
    examination : Examination
        Of all stored instances.
    now : datetime
        The time.
    wait_until : datetime
        End of the wait for what is missing.
    """
    signs = f" ({'; '.join(examination.signs)})" if examination.signs else ""
    if examination.whole == PAIR:
        return Decision(StudyEvent.FOUND_READY, f"T1w and T2w are there{signs}", now)
    if not examination.whole and not examination.broken:
        reasons = examination.others or ("it holds no MR images",)
        return Decision(StudyEvent.FOUND_NOTHING, "; ".join(reasons))
    missing = tuple(f"{weighting(contrast)} is not there" for contrast in sorted(PAIR - examination.whole))
    why = "; ".join((*(missing if examination.whole else ()), *examination.broken))
    if now < wait_until:
        return Decision(StudyEvent.FOUND_HALF, why, wait_until)
    if examination.whole:
        return Decision(StudyEvent.FOUND_READY, f"waited long enough: {why}{signs}", now)
    return refused(examination.broken)
