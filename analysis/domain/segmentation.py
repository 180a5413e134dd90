"""Labelled vertebral bodies and their quality."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.reason import Reason
from analysis.domain.volume import Box, Grid, Part, around, box_of

__all__ = [
    "CRANIAL_TO_CAUDAL",
    "CsfSample",
    "Grade",
    "Judgement",
    "Level",
    "Region",
    "Segmentation",
]


class Level(IntEnum):
    """Vertebral levels; the value is the label in every mask of this project."""

    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4
    L5 = 5
    S1 = 6
    T12 = 7
    T11 = 8

    @property
    def lumbar(self) -> bool:
        """Whether the level is one of L1 to L5."""
        return self <= Level.L5


CRANIAL_TO_CAUDAL = (
    Level.T11, Level.T12, Level.L1, Level.L2, Level.L3, Level.L4, Level.L5, Level.S1,
)  # fmt: skip
"""The levels from head to foot."""


class Grade(StrEnum):
    """Quality of a whole segmentation in one word."""

    SOUND = "sound"
    DOUBTFUL = "usable with caveats"
    UNUSABLE = "not usable"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Quality of a whole segmentation.

    Attributes
    ----------
    grade : Grade
        UNUSABLE with too few usable lumbar bodies; SOUND without any reason against it.
    quality : float
        Mean over the lumbar bodies, 0 to 1; when levels are certain, a level that was not found counts as 0.
    reasons : tuple of Reason
        The concerns about each body, the missing levels, and the concerns about the whole segmentation.
    """

    grade: Grade
    quality: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One segmented vertebral body.

    Attributes
    ----------
    level : Level
        Its vertebral level.
    volume_ml : float
        Volume of its mask (`Grid.volume_ml`).
    centre_mm : tuple of float
        LPS centroid.
    quality : float
        0 (worthless) to 1 (as good as a manual outline).
    usable : bool
        Whether features may be taken from it.
    concerns : tuple of Reason
        Why quality is lower than 1 ("touches the edge of the image", "fracture-like height loss").
    overlap : float or None
        Dice with the same body in the study's other sequence; None if there was nothing to compare.
    """

    level: Level
    volume_ml: float
    centre_mm: tuple[float, float, float]
    quality: float
    usable: bool
    concerns: tuple[Reason, ...] = ()
    overlap: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CsfSample:
    """The cerebrospinal fluid behind L3, the reference of the VBQ score.

    Attributes
    ----------
    mask : ndarray of bool, shape (slices, rows, columns)
        Its voxels.
    quality : float
        0 to 1; below `analysis.measurement.vbq.MINIMUM_CSF_QUALITY` no VBQ is reported.
    concerns : tuple of Reason
        Why quality is lower than 1.
    part : Part
        The same voxels as `mask`.
    """

    mask: npt.NDArray[np.bool_]
    quality: float
    concerns: tuple[Reason, ...] = ()
    part: Part = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", Part.of(self.mask))


_NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


def _moved(box: Box, into: Box) -> Box:
    """Return where a box within another one lies in the volume."""
    slices, rows, columns = (
        slice(one.start + by.start, one.stop + by.start) for one, by in zip(box, into, strict=True)
    )
    return slices, rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The result of a segmenter for one volume.

    Attributes
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, 0 elsewhere, on the grid of the input volume. Made read-only.
    grid : Grid
        The grid of the input volume.
    regions : tuple of Region
        One for every label that occurs, from cranial to caudal.
    level_confidence : float
        0 to 1, confidence that the level names (not only the outlines) are right.
    levels_certain : bool
        Whether the level names may be reported; if not, reports call them uncertain.
    csf : CsfSample or None
        None if no CSF was found.
    concerns : tuple of Reason
        Concerns about the whole segmentation ("transitional anatomy possible").
    method : str
        Name and version of the segmenter.
    automatic : bool
        Whether a program made the outlines without a person; False if that is unknown, as for a mask from
        elsewhere.
    boxes : mapping of Level to Box
        The box around each label that occurs.
    """

    labels: npt.NDArray[np.uint8]
    grid: Grid
    regions: tuple[Region, ...]
    level_confidence: float
    levels_certain: bool
    csf: CsfSample | None
    concerns: tuple[Reason, ...]
    method: str
    automatic: bool = True
    boxes: Mapping[Level, Box] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape:
            raise ValueError(f"{self.labels.shape} labels do not fill a grid of {self.grid.shape}")
        around = box_of(self.labels)
        inner = self.labels[around]
        present = set(np.unique(inner).tolist()) - {0}
        if present != {int(region.level) for region in self.regions}:
            raise ValueError("regions and labels name different levels")
        self.labels.setflags(write=False)
        boxes = {Level(label): _moved(box_of(inner == label), around) for label in sorted(present)}
        object.__setattr__(self, "boxes", boxes)

    @property
    def box(self) -> Box:
        """The box around all labels; it is empty if there are none."""
        return around(self.boxes.values())

    def body(self, level: Level) -> Part:
        """Return the voxels of a level, none if it was not found."""
        box = self.boxes.get(level, _NOWHERE)
        return Part(box, self.labels[box] == level)

    def region(self, level: Level) -> Region | None:
        """Return the region of that level, or None if it was not found."""
        return next((region for region in self.regions if region.level is level), None)

    @property
    def usable_lumbar(self) -> tuple[Region, ...]:
        """The usable regions among L1 to L5."""
        return tuple(region for region in self.regions if region.usable and region.level.lumbar)

    def judge(self, minimum_usable_levels: int) -> Judgement:
        """Judge the segmentation as a whole.

        Parameters
        ----------
        minimum_usable_levels : int
            With fewer usable lumbar bodies it is UNUSABLE (`AnalysisSettings.minimum_usable_levels`).
        """
        lumbar = [region for region in self.regions if region.level.lumbar]
        missing = [level for level in Level if level.lumbar and self.region(level) is None]
        counted = 5 if self.levels_certain else max(len(lumbar), 1)
        reasons = [*self._faults(), *self.concerns]
        if missing and self.levels_certain:
            reasons.append(Reason("not_found", levels=", ".join(level.name for level in missing)))
        if len(self.usable_lumbar) < minimum_usable_levels:
            grade = Grade.UNUSABLE
        else:
            grade = Grade.DOUBTFUL if reasons or not self.levels_certain else Grade.SOUND
        return Judgement(grade, sum(region.quality for region in lumbar) / counted, tuple(reasons))

    def _faults(self) -> Iterator[Reason]:
        """Yield the concerns about each body; bodies are numbered where their levels are uncertain."""
        for number, region in enumerate(self.regions, start=1):
            told = region.concerns or (() if region.usable else (Reason("outline_not_good"),))
            if region.level.lumbar and told:
                name = region.level.name if self.levels_certain else Reason("body_number", number=number)
                yield Reason("of_body", body=name, concerns=told)
