"""Segmentation back end "masks": a folder of masks made elsewhere, each found by its series."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.misc import is_dicom

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import SeriesInput
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level, Segmentation
from analysis.domain.volume import Grid
from analysis.errors import RefusedError
from analysis.itk import read_labels
from analysis.segment import Segmenter
from analysis.segment.external_mask import CANAL, ExternalMask, adopt
from analysis.settings import SegmentationSettings
from node.analyse.segmenters.seg_object import read_seg, referenced_series
from node.domain.identifiers import is_uid
from node.errors import PermanentError

__all__ = ["mask_of_file", "masks_in", "masks_segmenter"]

_NIFTI = (".nii.gz", ".nii")
_DICOM = ".dcm"


def masks_segmenter(settings: SegmentationSettings, folder: Path) -> Segmenter:
    """Return a segmenter that takes for each series the one mask that the folder holds for it.

    A NIfTI file is named by the Series Instance UID, `1.2.3.nii.gz`. A DICOM SEG names its series inside, so
    it may have any name that ends in `.dcm` and lie in a subfolder.

    Parameters
    ----------
    settings : SegmentationSettings
        What the labels in NIfTI masks mean, and whether masks include posterior elements.
    folder : Path
        Holds the masks.
    """

    def outline(source: SeriesInput, _contrast: Contrast) -> Segmentation:
        path = _mask_of(source.series_uid, folder)
        return adopt(mask_of_file(path, source, settings), source.volume)

    return outline


def mask_of_file(path: Path, source: SeriesInput, settings: SegmentationSettings) -> ExternalMask:
    """Read the mask of a series.

    Parameters
    ----------
    path : Path
        A DICOM SEG, or an image such as NIfTI.
    source : SeriesInput
        The series.
    settings : SegmentationSettings
        As for `masks_segmenter`.

    Raises
    ------
    RefusedError
        If it cannot be read, or its labels are unknown.
    """
    is_seg = path.suffix == _DICOM or is_dicom(path)
    if is_seg:
        labels, grid = read_seg(path, source.frame_of_reference, source.volume.grid)
    else:
        labels, grid = _read_nifti(path, settings)
    digest = sha256(path.read_bytes()).hexdigest()
    return ExternalMask(
        labels,
        grid,
        f"mask ({'DICOM SEG' if is_seg else 'NIfTI'}) {digest}",
        whole_vertebrae=settings.whole_vertebrae,
        automatic=False,
    )


def masks_in(folder: Path) -> tuple[Path, ...]:
    """Return all files that may be masks.

    Raises
    ------
    PermanentError
        If the folder does not exist or cannot be read.
    """
    try:
        beside = [path for path in folder.iterdir() if path.name.endswith(_NIFTI)]
    except OSError as error:
        raise PermanentError(
            f"the mask folder {folder} cannot be read ({error.strerror}); let [segmentation] masks name one"
        ) from error
    return tuple(sorted([*beside, *folder.rglob(f"*{_DICOM}")]))


def _mask_of(series_uid: str, folder: Path) -> Path:
    # The UID is from a header, which the sender controls, and becomes part of a file name.
    if not is_uid(series_uid):
        raise RefusedError(Reason("mask_uid"))
    names = {f"{series_uid}{suffix}" for suffix in _NIFTI}
    found = [
        path
        for path in masks_in(folder)
        if (referenced_series(path) == series_uid if path.suffix == _DICOM else path.name in names)
    ]
    if not found:
        raise RefusedError(Reason("mask_none"))
    if len(found) > 1:
        raise RefusedError(Reason("mask_several", count=len(found)))
    return found[0]


def _read_nifti(path: Path, settings: SegmentationSettings) -> tuple[npt.NDArray[np.uint8], Grid]:
    values, grid = read_labels(path)
    meaning = {
        number: CANAL if name not in Level.__members__ else int(Level[name])
        for name, number in settings.labels
    }
    unknown = sorted(set(np.unique(values).tolist()) - {0, *meaning})
    if unknown:
        told = ", ".join(str(one) for one in unknown[:10])
        raise RefusedError(Reason("mask_labels", labels=told))
    labels = np.zeros(values.shape, np.uint8)
    for number, label in meaning.items():
        labels[values == number] = label
    return labels, grid
