"""Read the acquisition facts of a series from its headers."""

from collections.abc import Sequence

from pydicom import Dataset

from analysis.domain.acquisition import AcquisitionFacts
from node.decode.header_values import number, numbers, text, words

__all__ = ["facts_of"]


def facts_of(headers: Sequence[Dataset]) -> AcquisitionFacts:
    """Return the acquisition facts of a series, taken from its first header.

    Parameters
    ----------
    headers : sequence of Dataset
        Headers of one series, at least one.
    """
    first = headers[0]
    spacing = numbers(first, "PixelSpacing", 2)
    orientation = numbers(first, "ImageOrientationPatient", 6)
    return AcquisitionFacts(
        modality=text(first, "Modality"),
        repetition_time_ms=number(first, "RepetitionTime"),
        echo_time_ms=number(first, "EchoTime"),
        inversion_time_ms=number(first, "InversionTime"),
        echo_train_length=None if (etl := number(first, "EchoTrainLength")) is None else int(etl),
        flip_angle_deg=number(first, "FlipAngle"),
        scanning_sequence=words(first, "ScanningSequence"),
        sequence_variant=words(first, "SequenceVariant"),
        scan_options=words(first, "ScanOptions"),
        image_type=words(first, "ImageType"),
        acquisition_type=text(first, "MRAcquisitionType"),
        contrast_agent=text(first, "ContrastBolusAgent"),
        field_strength_t=number(first, "MagneticFieldStrength"),
        vendor=text(first, "Manufacturer"),
        model=text(first, "ManufacturerModelName"),
        body_part=text(first, "BodyPartExamined"),
        series_description=text(first, "SeriesDescription"),
        protocol_name=text(first, "ProtocolName"),
        sequence_name=text(first, "SequenceName"),
        orientation=None if orientation is None else tuple(orientation),  # type: ignore[arg-type]
        rows=int(number(first, "Rows") or 0),
        columns=int(number(first, "Columns") or 0),
        slices=len(headers),
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        slice_spacing_mm=number(first, "SpacingBetweenSlices"),
        slice_thickness_mm=number(first, "SliceThickness"),
    )
