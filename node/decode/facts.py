"""Read the acquisition facts of a series from its headers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from analysis.identify import identify
from node.decode.header_values import items, number, numbers, text, words

__all__ = ["facts_by_slice", "facts_of"]

_TEXTS = (
    *("modality", "acquisition_type", "vendor", "model", "body_part", "study_description"),
    *("series_description", "protocol_name", "sequence_name"),
)
"""Facts of the whole series: an image without one says nothing against the others."""


def facts_of(headers: Sequence[Dataset]) -> AcquisitionFacts:
    """Return the acquisition facts of a series.

    They hold for all of its slices if `node.decode.agreement` finds no contradiction. If it does, they are
    the facts of a slice that would be analysed by itself, so that the series is refused for the contradiction
    and not taken for another kind.

    Parameters
    ----------
    headers : sequence of Dataset
        Headers of one series, at least one.
    """
    distinct = tuple(dict.fromkeys(facts_by_slice(headers)))
    return distinct[0] if len(distinct) == 1 else min(distinct, key=_rank)


def facts_by_slice(headers: Sequence[Dataset]) -> tuple[AcquisitionFacts, ...]:
    """Return the facts that the header of each slice states; a text that it lacks is that of the others."""
    stated = [_of_slice(header, len(headers)) for header in headers]
    usual = {name: _usual(getattr(facts, name) for facts in stated) for name in _TEXTS}
    return tuple(_completed(facts, usual) for facts in stated)


def _rank(facts: AcquisitionFacts) -> tuple[bool, bool]:
    """Put slices that would be analysed first, and of these the ones that say less about the region."""
    identification = identify(facts)
    return not identification.usable, identification.lumbar is True


def _usual(stated: Iterable[str]) -> str:
    counts = Counter(one for one in stated if one)
    return min(counts, key=lambda one: (-counts[one], one), default="")


def _completed(facts: AcquisitionFacts, usual: dict[str, str]) -> AcquisitionFacts:
    missing = {name: told for name, told in usual.items() if told and not getattr(facts, name)}
    return replace(facts, **missing) if missing else facts  # type: ignore[arg-type]  # texts only


def _of_slice(header: Dataset, slices: int) -> AcquisitionFacts:
    spacing = numbers(header, "PixelSpacing", 2)
    orientation = numbers(header, "ImageOrientationPatient", 6)
    return AcquisitionFacts(
        modality=text(header, "Modality"),
        repetition_time_ms=number(header, "RepetitionTime"),
        echo_time_ms=number(header, "EchoTime"),
        inversion_time_ms=number(header, "InversionTime"),
        echo_train_length=None if (etl := number(header, "EchoTrainLength")) is None else int(etl),
        flip_angle_deg=number(header, "FlipAngle"),
        scanning_sequence=words(header, "ScanningSequence"),
        sequence_variant=words(header, "SequenceVariant"),
        scan_options=words(header, "ScanOptions"),
        image_type=words(header, "ImageType"),
        acquisition_type=text(header, "MRAcquisitionType"),
        contrast_agent=_agent(header),
        field_strength_t=number(header, "MagneticFieldStrength"),
        vendor=text(header, "Manufacturer"),
        model=text(header, "ManufacturerModelName"),
        body_part=text(header, "BodyPartExamined"),
        study_description=text(header, "StudyDescription"),
        series_description=text(header, "SeriesDescription"),
        protocol_name=text(header, "ProtocolName"),
        sequence_name=text(header, "SequenceName"),
        orientation=None if orientation is None else tuple(orientation),  # type: ignore[arg-type]
        rows=int(number(header, "Rows") or 0),
        columns=int(number(header, "Columns") or 0),
        slices=slices,
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        slice_spacing_mm=number(header, "SpacingBetweenSlices"),
        slice_thickness_mm=number(header, "SliceThickness"),
    )


def _agent(header: Dataset) -> str:
    """Return the contrast agent; scanners name it as text, as a code, or by its ingredient alone."""
    coded = (text(item, "CodeMeaning") or "coded" for item in items(header, "ContrastBolusAgentSequence"))
    return text(header, "ContrastBolusAgent") or next(coded, "") or text(header, "ContrastBolusIngredient")
