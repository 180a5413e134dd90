"""The summary picture as a Secondary Capture: every viewer shows it.

References
----------
DICOM PS3.3 A.8.1 Secondary Capture Image IOD.
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_templates.options import ReportOptions

__all__ = ["summary_object"]


def summary_object(
    picture: npt.NDArray[np.uint8],
    options: ReportOptions,
    *,
    uid: str,
    series_uid: str,
    series_number: int,
    description: str,
) -> Dataset:
    """Write the summary picture as a Secondary Capture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (rows, columns, 3)
        From `draw_summary`.
    options : ReportOptions
        When it is made.
    uid, series_uid : str
        Of the object.
    series_number : int
        SeriesNumber.
    description : str
        SeriesDescription.

    Returns
    -------
    Dataset
    """
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = uid
    image.SeriesInstanceUID = series_uid
    image.SeriesNumber = series_number
    image.SeriesDescription = description
    image.InstanceNumber = 1
    image.Modality = "OT"
    image.ConversionType = "WSD"
    image.DateOfSecondaryCapture = options.date
    image.TimeOfSecondaryCapture = options.time
    image.ImageType = ["DERIVED", "SECONDARY"]
    # A collage has no single orientation.
    image.PatientOrientation = ""
    image.BurnedInAnnotation = "YES"
    image.SamplesPerPixel = 3
    image.PhotometricInterpretation = "RGB"
    image.PlanarConfiguration = 0
    image.Rows, image.Columns = picture.shape[0], picture.shape[1]
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.add_new("PixelData", "OB", np.ascontiguousarray(picture).tobytes())
    return image
