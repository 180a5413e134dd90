"""The summary picture as a Secondary Capture image, which every viewer shows.

References
----------
DICOM PS3.3 A.8.1 Secondary Capture Image IOD.
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_templates.objects.common_modules import ObjectIdentity, workstation_object
from dicom_templates.options import ReportOptions

__all__ = ["summary_object"]


def summary_object(
    picture: npt.NDArray[np.uint8], options: ReportOptions, identity: ObjectIdentity, *, annotated: bool
) -> Dataset:
    """Write the summary picture as a Secondary Capture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
        From `draw_summary`.
    options : ReportOptions
        Date and time.
    identity : ObjectIdentity
        Its UIDs, series number and description.
    annotated : bool
        Whether the source images are said to have annotation in their pixels.

    Returns
    -------
    Dataset
    """
    image = workstation_object(SecondaryCaptureImageStorage, "OT", identity)
    image.DateOfSecondaryCapture = options.date
    image.TimeOfSecondaryCapture = options.time
    image.ImageType = ["DERIVED", "SECONDARY"]
    # As PS3.3 C.7.6.1 defines it: whether the pixels identify the patient. Our own words do not.
    image.BurnedInAnnotation = "YES" if annotated else "NO"
    # A collage has no single orientation.
    image.PatientOrientation = ""
    image.SamplesPerPixel = 3
    image.PhotometricInterpretation = "RGB"
    image.PlanarConfiguration = 0
    image.Rows, image.Columns = picture.shape[0], picture.shape[1]
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.add_new("PixelData", "OB", np.ascontiguousarray(picture).tobytes())
    return image
