"""What an archive is asked for, and what it answers."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from analysis.domain.acquisition import AcquisitionFacts

__all__ = ["ArchiveQuery", "FoundSeries", "FoundStudy", "Retrieved"]


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """Which studies are looked for; an empty value matches every study.

    Attributes
    ----------
    study_uid, accession_number, patient_id : str
        Each matches exactly.
    since, until : date or None
        First and last StudyDate, both included.
    description : str
        StudyDescription, in which "*" stands for any text and "?" for one character.
    modality : str
        A modality that the study holds.
    """

    study_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    since: date | None = None
    until: date | None = None
    description: str = ""
    modality: str = "MR"

    def halves(self) -> "tuple[ArchiveQuery, ArchiveQuery] | None":
        """Divide the range of dates into two; None if it has one day only, or no beginning or end.

        Examples
        --------
        >>> for half in ArchiveQuery(since=date(2024, 1, 1), until=date(2024, 1, 3)).halves():
        ...     print(half.since, half.until)
        2024-01-01 2024-01-02
        2024-01-03 2024-01-03
        """
        if self.since is None or self.until is None or self.since >= self.until:
            return None
        middle = self.since + timedelta(days=(self.until - self.since).days // 2)
        return replace(self, until=middle), replace(self, since=middle + timedelta(days=1))


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that an archive has; empty or None where the archive does not tell.

    Attributes
    ----------
    study_uid : str
        A valid UID.
    patient_id, accession_number, description : str
        As the archive tells them.
    study_date : date or None
        StudyDate.
    modalities : tuple of str
        ModalitiesInStudy.
    series, images : int or None
        How many series and images it has.
    birth_date : date or None
        PatientBirthDate.
    """

    study_uid: str
    patient_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_date: date | None = None
    description: str = field(default="", repr=False)
    modalities: tuple[str, ...] = ()
    series: int | None = None
    images: int | None = None
    birth_date: date | None = field(default=None, repr=False)

    @property
    def age_years(self) -> int | None:
        """Age of the patient on the day of the study, in whole years; None if it is not known.

        Examples
        --------
        >>> FoundStudy("1.2", study_date=date(2024, 3, 1), birth_date=date(1960, 3, 2)).age_years
        63
        """
        born, seen = self.birth_date, self.study_date
        if born is None or seen is None or seen < born:
            return None
        return seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series that an archive has.

    Attributes
    ----------
    study_uid, series_uid : str
        Valid UIDs.
    facts : AcquisitionFacts
        What the archive tells of its header, for `analysis.identify`: modality, descriptions, protocol, body
        part. Most archives tell nothing of the sequence or the orientation; see `Archive.read_facts`.
    station, institution : str
        StationName and InstitutionName; empty where the archive does not tell.
    images : int or None
        How many images it has.
    """

    study_uid: str
    series_uid: str
    facts: AcquisitionFacts
    station: str = ""
    institution: str = ""
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What came of a series that was asked for.

    Attributes
    ----------
    completed : int
        Images that this node has safely on disk, those that it had before included.
    failed : int
        Images that the archive could not send, or that this node did not take.
    warnings : int
        Images that the archive sent with a warning.
    reason : str
        Why some are missing, in words and without patient data; empty if none are.
    discarded : int
        Images that came, and that a rule discarded; they are neither completed nor failed.
    rules : frozenset of str
        Names of these rules.
    """

    completed: int
    failed: int = 0
    warnings: int = 0
    reason: str = ""
    discarded: int = 0
    rules: frozenset[str] = frozenset()
