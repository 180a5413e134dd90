"""What a measurement report cites as its origin, read back; `osteonode verify` recomputes it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydicom import Dataset

from dicom_templates.codes import CONFIGURATION_DIGEST, INPUT_DIGEST, MODEL_DIGEST

__all__ = ["Citation", "read_citation"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The digests in a measurement report.

    Attributes
    ----------
    model : str
        SHA-256 of the model bundle; empty where none was used.
    configuration : str
        SHA-256 of the analysis settings.
    inputs : mapping of str to str
        Digest of each analysed series, by its Series Instance UID.
    """

    model: str
    configuration: str
    inputs: Mapping[str, str]


def read_citation(document: Dataset) -> Citation:
    """Read what a measurement report of ours cites.

    Parameters
    ----------
    document : Dataset
        The measurement report.

    Returns
    -------
    Citation

    Raises
    ------
    ValueError
        If it cites no configuration, so that it is none of our measurement reports.
    """
    told = list(_texts(document))
    configuration = [value for code, value in told if code == CONFIGURATION_DIGEST.value]
    if not configuration:
        raise ValueError("this document cites no configuration; it is no measurement report of OsteoNode")
    inputs = (value.partition(" ") for code, value in told if code == INPUT_DIGEST.value)
    return Citation(
        model=next((value for code, value in told if code == MODEL_DIGEST.value), ""),
        configuration=configuration[0],
        inputs={series_uid: digest for series_uid, _, digest in inputs},
    )


def _texts(item: Dataset) -> Iterator[tuple[str, str]]:
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "TEXT":
            yield str(child.ConceptNameCodeSequence[0].get("CodeValue", "")), str(child.TextValue)
        yield from _texts(child)
