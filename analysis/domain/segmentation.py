"""Labelled vertebral bodies, and how far they can be trusted."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from analysis.domain.reason import Reason
from analysis.domain.volume import Grid

__all__ = [
    "CRANIAL_TO_CAUDAL",
    "MINIMUM_USABLE_LEVELS",
    "CsfSample",
    "Grade",
    "Judgement",
    "Level",
    "Region",
    "Segmentation",
]

MINIMUM_USABLE_LEVELS = 3
"""Fewer usable lumbar bodies than this, and nothing is predicted (science.md)."""


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
"""The levels as they lie in the body, from head to foot."""


class Grade(StrEnum):
    """How far a whole segmentation can be trusted."""

    SOUND = "sound"
    DOUBTFUL = "usable with caveats"
    UNUSABLE = "not usable"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a segmentation is worth, and why no more.

    Attributes
    ----------
    grade : Grade
        UNUSABLE below `MINIMUM_USABLE_LEVELS` usable lumbar bodies; SOUND when nothing speaks against it.
    quality : float
        Mean over the lumbar bodies; with certain names a level that was not found counts as 0.
    reasons : tuple of Reason
        Which body failed why, what is missing, and what holds for all of them.
    """

    grade: Grade
    quality: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One vertebral body as it was found.

    Attributes
    ----------
    level : Level
        Its name.
    volume_ml : float
        Volume of its mask.
    centre_mm : tuple of float
        LPS centroid.
    quality : float
        0 (worthless) to 1 (as good as manual).
    usable : bool
        Whether features may be taken from it.
    concerns : tuple of Reason
        Why quality is lower than 1 ("touches the edge of the image", "fracture-like height loss").
    overlap : float or None
        Dice with the same body in the study's other sequence; None where there was nothing to compare.
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
    """Where the cerebrospinal fluid behind L3 was found; the reference of the VBQ score.

    Attributes
    ----------
    mask : ndarray of bool, shape (slices, rows, columns)
        Its voxels.
    quality : float
        0 to 1; below 0.5 no VBQ is reported.
    concerns : tuple of Reason
        Why quality is lower than 1.
    """

    mask: npt.NDArray[np.bool_]
    quality: float
    concerns: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a segmenter answers for one volume.

    Attributes
    ----------
    labels : ndarray of uint8, shape (slices, rows, columns)
        `Level` values, 0 elsewhere, on the grid of the input volume. Made read-only.
    grid : Grid
        The input's grid.
    regions : tuple of Region
        One for every label that occurs, from cranial to caudal.
    level_confidence : float
        0 to 1, that the names L1 to L5 (not only the outlines) are right.
    levels_certain : bool
        Whether the names may be reported; False means "uncertain", never a guess.
    csf : CsfSample or None
        None where none was found.
    concerns : tuple of Reason
        What holds for the whole segmentation ("transitional anatomy possible").
    method : str
        Name and version of what made it.
    automatic : bool
        Whether a program made it by itself; of a mask from elsewhere nobody here knows.
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

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape:
            raise ValueError(f"{self.labels.shape} labels do not fill a grid of {self.grid.shape}")
        present = set(np.unique(self.labels).tolist()) - {0}
        if present != {int(region.level) for region in self.regions}:
            raise ValueError("regions and labels name different levels")
        self.labels.setflags(write=False)

    def region(self, level: Level) -> Region | None:
        """Return the region of that level, or None if it was not found."""
        return next((region for region in self.regions if region.level is level), None)

    @property
    def usable_lumbar(self) -> tuple[Region, ...]:
        """The regions among L1 to L5 that features may be taken from."""
        return tuple(region for region in self.regions if region.usable and region.level.lumbar)

    @property
    def judgement(self) -> Judgement:
        """What the segmentation is worth as a whole."""
        lumbar = [region for region in self.regions if region.level.lumbar]
        missing = [level for level in Level if level.lumbar and self.region(level) is None]
        counted = 5 if self.levels_certain else max(len(lumbar), 1)
        reasons = [*self._faults(), *self.concerns]
        if missing and self.levels_certain:
            reasons.append(Reason("not_found", levels=", ".join(level.name for level in missing)))
        if len(self.usable_lumbar) < MINIMUM_USABLE_LEVELS:
            grade = Grade.UNUSABLE
        else:
            grade = Grade.DOUBTFUL if reasons or not self.levels_certain else Grade.SOUND
        return Judgement(grade, sum(region.quality for region in lumbar) / counted, tuple(reasons))

    def _faults(self) -> Iterator[Reason]:
        """Tell what speaks against single bodies, which are numbered where their names are uncertain."""
        for number, region in enumerate(self.regions, start=1):
            told = region.concerns or (() if region.usable else (Reason("outline_not_good"),))
            if region.level.lumbar and told:
                name = region.level.name if self.levels_certain else Reason("body_number", number=number)
                yield Reason("of_body", body=name, concerns=told)
