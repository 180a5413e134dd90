"""How TotalSpineSeg, SPINEPS and TotalSegmentator are called, and how their output is read.

Checked against the packages totalspineseg 20260807, spineps 2.1.3 and TotalSegmentator 2.18.0. SPINEPS is
called with short options, which its versions 1.x and 2.x share.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.domain.segmentation import Level
from analysis.domain.volume import Grid
from analysis.errors import RefusedError
from analysis.itk import read_labels
from analysis.segment.external_mask import CANAL, SACRUM, on_grid

__all__ = ["PROGRAM_OF", "Output", "Program"]

Values = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """The labels that a program wrote.

    Attributes
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, `SACRUM`, `CANAL`, 0 elsewhere.
    grid : Grid
        Grid of the labels.
    transitional : bool
        Whether the program labelled a supernumerary vertebra (L6, T13).
    """

    labels: npt.NDArray[np.uint8]
    grid: Grid
    transitional: bool


@dataclass(frozen=True, slots=True)
class Program:
    """A segmentation program that a site may install.

    Attributes
    ----------
    name : str
        Name of the program and of its Python distribution.
    command : str
        Usual name of its executable.
    image : str
        File name that it expects of the image; `{contrast}` stands for T1 or T2.
    commands : callable
        Takes the image, the output folder and the contrast; returns the arguments of each call.
    read : callable
        Takes the output folder; returns the labels.
    whole_vertebrae : bool
        Whether its vertebrae include the posterior elements, which are then cut off.
    """

    name: str
    command: str
    image: str
    commands: Callable[[Path, Path, Contrast], tuple[tuple[str, ...], ...]]
    read: Callable[[Path], Output]
    whole_vertebrae: bool


def _only_file(files: Iterable[Path], what: str) -> Path:
    """Return the only file; refuse the series if there are several, or none as the program found no spine."""
    found = sorted(files)
    if len(found) != 1:
        if not found:
            raise RefusedError(Reason("program_wrote_none", what=what))
        raise RefusedError(Reason("program_wrote_several", what=what, count=len(found)))
    return found[0]


def _mapped(values: Values, meaning: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    labels = np.zeros(values.shape, np.uint8)
    for value, label in meaning.items():
        labels[values == value] = label
    return labels


# --- TotalSpineSeg --------------------------------------------------------------------------------

_TOTALSPINESEG = MappingProxyType(
    {
        1: CANAL,  # the spinal cord, which lies in the canal
        2: CANAL,
        31: int(Level.T11),
        32: int(Level.T12),
        **{41 + number: int(Level.L1) + number for number in range(5)},
        50: SACRUM,
    }
)
_TOTALSPINESEG_L6 = (46, 47)


def _call_totalspineseg(image: Path, out: Path, _contrast: Contrast) -> tuple[tuple[str, ...], ...]:
    return ((str(image), str(out), "--quiet"),)


def _read_totalspineseg(out: Path) -> Output:
    values, grid = read_labels(_only_file(out.glob("step2_output/*.nii.gz"), "step2_output"))
    return Output(_mapped(values, _TOTALSPINESEG), grid, bool(np.isin(values, _TOTALSPINESEG_L6).any()))


# --- SPINEPS --------------------------------------------------------------------------------------

_SPINEPS_CORPUS = (49, 50)
_SPINEPS_CANAL = (60, 61)  # cord and canal
_SPINEPS_SACRUM = 26
_SPINEPS_LEVELS = MappingProxyType(
    {18: int(Level.T11), 19: int(Level.T12), **{20 + number: int(Level.L1) + number for number in range(5)}}
)
_SPINEPS_L6_T13 = (25, 28)


def _call_spineps(image: Path, _out: Path, contrast: Contrast) -> tuple[tuple[str, ...], ...]:
    semantic = "t1w" if contrast is Contrast.T1 else "t2w"
    # Without the labelling model, vertebrae are numbered as they are found, not by level.
    return (("sample", "-i", str(image), "-ms", semantic, "-mv", "instance", "-ml", "t2w_labeling", "-iic"),)


def _read_spineps(out: Path) -> Output:
    # SPINEPS writes to a folder of its own beside the image, with raw masks in a subfolder.
    folder = out.parent / "derivatives_seg"
    spine, grid = read_labels(_only_file(_spineps_masks(folder, "spine"), "seg-spine mask"))
    vertebrae, other = read_labels(_only_file(_spineps_masks(folder, "vert"), "seg-vert mask"))
    vertebrae = on_grid(vertebrae, other, grid)
    labels = _mapped(vertebrae, _SPINEPS_LEVELS)
    labels[~np.isin(spine, _SPINEPS_CORPUS)] = 0
    labels[spine == _SPINEPS_SACRUM] = SACRUM
    labels[np.isin(spine, _SPINEPS_CANAL)] = CANAL
    return Output(labels, grid, bool(np.isin(vertebrae, _SPINEPS_L6_T13).any()))


def _spineps_masks(folder: Path, kind: str) -> Iterable[Path]:
    return (
        path for path in folder.rglob(f"*_seg-{kind}_*msk.nii.gz") if "output_raw" not in path.parent.name
    )


# --- TotalSegmentator -----------------------------------------------------------------------------

_VERTEBRAE_MR = MappingProxyType(
    {
        1: SACRUM,
        **{2 + number: int(Level.L5) - number for number in range(5)},
        7: int(Level.T12),
        8: int(Level.T11),
    }
)


def _call_totalsegmentator(image: Path, out: Path, _contrast: Contrast) -> tuple[tuple[str, ...], ...]:
    common = ("-i", str(image), "--ml", "--quiet", "--task")
    return (
        (*common, "vertebrae_mr", "-o", str(out / "vertebrae.nii.gz")),
        # "vertebrae_mr" has no canal, and what "total_mr" calls spinal cord is the dural sac at L3.
        (*common, "total_mr", "--roi_subset", "spinal_cord", "-o", str(out / "canal.nii.gz")),
    )


def _read_totalsegmentator(out: Path) -> Output:
    values, grid = read_labels(_only_file(out.glob("vertebrae.nii.gz"), "vertebrae.nii.gz"))
    canal, other = read_labels(_only_file(out.glob("canal.nii.gz"), "canal.nii.gz"))
    labels = _mapped(values, _VERTEBRAE_MR)
    labels[(on_grid(canal, other, grid) > 0) & (labels == 0)] = CANAL
    return Output(labels, grid, transitional=False)


PROGRAM_OF: Mapping[str, Program] = MappingProxyType(
    {
        "totalspineseg": Program(
            "totalspineseg", "totalspineseg", "image.nii.gz", _call_totalspineseg, _read_totalspineseg,
            whole_vertebrae=True,
        ),
        "spineps": Program(
            "spineps", "spineps", "sub-osteonode_{contrast}w.nii.gz", _call_spineps, _read_spineps,
            whole_vertebrae=False,
        ),
        "totalsegmentator": Program(
            "TotalSegmentator", "TotalSegmentator", "image.nii.gz", _call_totalsegmentator,
            _read_totalsegmentator, whole_vertebrae=True,
        ),
    }
)  # fmt: skip
"""The programs by their names in [segmentation] backend."""
