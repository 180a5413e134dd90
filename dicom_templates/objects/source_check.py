"""Check the headers of a series before an analysis whose results will take over parts of them.

A header that cannot be copied then costs its series, and not the results of the other one.
"""

from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmwrite

from dicom_templates.objects.common_modules import copy_source
from dicom_templates.origin.patient_study import age_in_years, patient_digest
from dicom_templates.origin.source_series import check_images

__all__ = ["check_source", "check_sources"]


def check_sources(headers: Sequence[Dataset], frames: Sequence[int] = ()) -> None:
    """Read from the headers of one series everything that a result set takes over from them.

    Parameters
    ----------
    headers : sequence of Dataset
        Of the images of the series, without pixel data.
    frames : sequence of int
        Frame number of each header, if they are of multi-frame objects.

    Raises
    ------
    Exception
        Whatever `dicom_templates.result_set.build` would raise because of them.
    """
    check_images(headers, frames)
    check_source(headers[0])


def check_source(source: Dataset) -> None:
    """Copy from the header of a source image what every result takes over from it, and write it.

    Raises
    ------
    Exception
        Whatever making a result of this header would raise.
    """
    trial = Dataset()
    copy_source(trial, source, image=True)
    dcmwrite(BytesIO(), trial, implicit_vr=False, little_endian=True)
    str(source.get("StudyDate"))
    age_in_years(source)
    patient_digest(source)
