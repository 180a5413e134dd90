"""How the slices lie, and whether they show the lumbar spine."""

from typing import NamedTuple

import numpy as np

from analysis.domain.acquisition import AcquisitionFacts, Plane
from analysis.identify.contrast import Clues
from analysis.identify.words import Word, find, normalise

__all__ = ["Place", "coverage_mm", "field_of_view_mm", "place", "plane"]

_NEAR_AXIS = 0.85
"""Cosine of the largest tilt that still names a plane, about 32°; scoliosis and disc angles stay below it."""

_SMALLEST_SPINE_MM = 180.0
"""A field of view shorter than this shows a joint, never five lumbar bodies (some 180 mm of spine)."""

_WIDEST_SPINE_MM = 150.0
"""Sagittal slices over more than this cover a head or a trunk."""

_TOO_NARROW_FOR_A_HEAD_MM = 100.0
_TOO_LONG_FOR_A_HEAD_MM = 265.0


class Place(NamedTuple):
    """Whether a series is lumbar, and why."""

    lumbar: bool | None
    reason: str


def plane(given: Clues) -> tuple[Plane, str]:
    """Tell the plane from the orientation, or else from the words."""
    if given.facts.orientation is not None:
        cosines = np.asarray(given.facts.orientation, dtype=np.float64)
        normal = np.cross(cosines[:3], cosines[3:])
        length = float(np.linalg.norm(normal))
        if np.isfinite(length) and length > 0.5:
            axis = int(np.argmax(np.abs(normal)))
            tilt = abs(float(normal[axis])) / length
            found = (
                (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis] if tilt >= _NEAR_AXIS else Plane.OBLIQUE
            )
            return found, f"its slices are {found} by their orientation"
    for found, word in (
        (Plane.SAGITTAL, Word.SAGITTAL),
        (Plane.CORONAL, Word.CORONAL),
        (Plane.AXIAL, Word.AXIAL),
    ):
        if spelling := given.says(word):
            return found, f"its description says “{spelling}”"
    return Plane.UNKNOWN, "nothing tells how its slices lie"


def place(given: Clues, lying: Plane) -> Place:
    """Tell whether the series shows the lumbar spine.

    BodyPartExamined is wrong in about one study of seven, so that the description is asked first, then the
    protocol's name, then what the geometry excludes, and the body part last.

    Parameters
    ----------
    given : Clues
        Of one series.
    lying : Plane
        As `plane` found it.

    Returns
    -------
    Place
        `lumbar` is None where the header is silent or contradicts itself: the picture must tell.
    """
    for text in given.texts:
        if told := _told(text, "its description says"):
            return told
    if lying is Plane.SAGITTAL and (impossible := _impossible(given.facts)):
        return Place(lumbar=False, reason=impossible)
    told = _told(normalise(given.facts.body_part), "its body part is")
    if told is None:
        return Place(lumbar=None, reason="its header does not tell which part of the body it shows")
    if told.lumbar is False and lying is Plane.SAGITTAL and _no_head(given.facts):
        return Place(
            lumbar=None,
            reason=f"{told.reason}, but the stack is too narrow and too long for it: a spine is likely",
        )
    return told


def field_of_view_mm(facts: AcquisitionFacts) -> float:
    """Longer side of the image; 0 if unknown."""
    if facts.pixel_spacing_mm is None:
        return 0.0
    down, across = facts.pixel_spacing_mm
    return max(facts.rows * down, facts.columns * across)


def coverage_mm(facts: AcquisitionFacts) -> float:
    """Distance over which the slices lie; 0 if unknown."""
    return facts.slices * (facts.slice_spacing_mm or facts.slice_thickness_mm or 0.0)


def _told(text: str, introduction: str) -> Place | None:
    """Lumbar wins in a text that names several regions: such a series shows them all."""
    if spelling := find(Word.LUMBAR, [text]):
        return Place(lumbar=True, reason=f"{introduction} “{spelling}”, the lumbar spine")
    for word in (Word.CERVICAL, Word.THORACIC, Word.ELSEWHERE):
        if spelling := find(word, [text]):
            return Place(lumbar=False, reason=f"{introduction} “{spelling}”, which is not the lumbar spine")
    return None


def _impossible(facts: AcquisitionFacts) -> str | None:
    if 0 < field_of_view_mm(facts) < _SMALLEST_SPINE_MM:
        return f"its field of view of {field_of_view_mm(facts):.0f} mm is too short for a lumbar spine"
    if coverage_mm(facts) > _WIDEST_SPINE_MM:
        return f"its sagittal slices cover {coverage_mm(facts):.0f} mm, more than a spine does"
    return None


def _no_head(facts: AcquisitionFacts) -> bool:
    """Whether sagittal slices can hardly show a head, whatever the body part says."""
    return (
        0 < coverage_mm(facts) < _TOO_NARROW_FOR_A_HEAD_MM
        and field_of_view_mm(facts) > _TOO_LONG_FOR_A_HEAD_MM
    )
