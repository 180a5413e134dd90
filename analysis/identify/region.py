"""The orientation of the slices, and whether they show the lumbar spine."""

from typing import NamedTuple

import numpy as np

from analysis.domain.acquisition import AcquisitionFacts, Plane
from analysis.domain.reason import Reason
from analysis.identify.clues import Clues, known
from analysis.identify.words import Word, find, normalise

__all__ = ["LumbarAnswer", "coverage_mm", "field_of_view_mm", "plane", "shows_lumbar_spine"]

_NEAR_AXIS = 0.85
"""Cosine of the largest tilt at which a plane is named: about 32°, more than scoliosis or disc angles."""

_SMALLEST_SPINE_MM = 180.0
"""A shorter field of view shows a joint; five lumbar bodies take about 180 mm."""

_WIDEST_SPINE_MM = 150.0
"""Sagittal slices that cover more than this show a head or a trunk."""

_HEAD_COVERAGE_MM, _HEAD_LENGTH_MM = 110.0, 265.0
"""A sagittal stack that is wider and shorter than this shows a head; a narrower and longer one does not."""


class LumbarAnswer(NamedTuple):
    """Whether a series shows the lumbar spine (None: unknown), and why."""

    lumbar: bool | None
    reason: Reason


def plane(given: Clues) -> tuple[Plane, Reason]:
    """Tell the plane from ImageOrientationPatient or, without a valid one, from the description."""
    cosines = np.asarray(given.facts.orientation or (), dtype=np.float64).reshape(-1, 3)
    # Anything but two unit vectors is no orientation and is ignored.
    if len(cosines) and (np.abs(cosines) <= 1.1).all() and (np.linalg.norm(cosines, axis=1) >= 0.9).all():
        normal = np.abs(np.cross(*cosines))
        axis = int(np.argmax(normal))
        named = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis]
        found = named if normal[axis] >= _NEAR_AXIS else Plane.OBLIQUE
        return found, Reason("plane_by_orientation", plane=found)
    for found, word in (
        (Plane.SAGITTAL, Word.SAGITTAL),
        (Plane.CORONAL, Word.CORONAL),
        (Plane.AXIAL, Word.AXIAL),
    ):
        if spelling := given.says(word):
            return found, Reason("description_says", spelling=spelling)
    return Plane.UNKNOWN, Reason("plane_not_told")


def shows_lumbar_spine(given: Clues, orientation: Plane) -> LumbarAnswer:
    """Tell whether the series shows the lumbar spine.

    BodyPartExamined is wrong in about one study of seven. The series description is therefore read first,
    then the protocol name, then the geometry, and the body part last.

    Parameters
    ----------
    given : Clues
        Facts of one series.
    orientation : Plane
        The result of `plane`.

    Returns
    -------
    LumbarAnswer
        `lumbar` is None where the header is silent or contradicts itself; the image must then decide.
    """
    for text in given.texts:
        if told := _told(text, "described"):
            return told
    sagittal = orientation is Plane.SAGITTAL
    if sagittal and (impossible := _impossible(given.facts)):
        return LumbarAnswer(lumbar=False, reason=impossible)
    body_part = normalise(given.facts.body_part)
    told = _told(body_part, "body_part")
    if told is None:
        return LumbarAnswer(lumbar=None, reason=Reason("body_part_not_told"))
    if not told.lumbar and find(Word.HEAD, [body_part]) and sagittal and _no_head(given.facts):
        return LumbarAnswer(lumbar=None, reason=Reason("no_head_for_certain", told=told.reason))
    return told


def field_of_view_mm(facts: AcquisitionFacts) -> float:
    """Longer side of the image in mm; 0 if unknown."""
    if facts.pixel_spacing_mm is None:
        return 0.0
    down, across = facts.pixel_spacing_mm
    return max(facts.rows * known(down), facts.columns * known(across))


def coverage_mm(facts: AcquisitionFacts) -> float:
    """Width that the slices cover together, in mm; 0 if unknown."""
    return facts.slices * (known(facts.slice_spacing_mm) or known(facts.slice_thickness_mm))


def _told(text: str, where: str) -> LumbarAnswer | None:
    """Answer from one text; among several regions lumbar wins, because such a series shows them all."""
    if spelling := find(Word.LUMBAR, [text]):
        return LumbarAnswer(lumbar=True, reason=Reason(f"lumbar_{where}", spelling=spelling))
    for word in (Word.CERVICAL, Word.THORACIC, Word.HEAD, Word.LIMB, Word.TRUNK):
        if spelling := find(word, [text]):
            return LumbarAnswer(lumbar=False, reason=Reason(f"elsewhere_{where}", spelling=spelling))
    return None


def _impossible(facts: AcquisitionFacts) -> Reason | None:
    """Return why sagittal slices of this size cannot show a lumbar spine, or None if they can."""
    length, width = field_of_view_mm(facts), coverage_mm(facts)
    if 0 < length < _SMALLEST_SPINE_MM:
        return Reason("view_too_short", length_mm=length)
    if width > _WIDEST_SPINE_MM:
        return Reason("slices_too_wide", width_mm=width)
    if width > _HEAD_COVERAGE_MM and 0 < length < _HEAD_LENGTH_MM:
        return Reason("size_of_a_head", width_mm=width, length_mm=length)
    return None


def _no_head(facts: AcquisitionFacts) -> bool:
    """Tell whether a sagittal stack is too narrow and too long to show a head."""
    return 0 < coverage_mm(facts) < _HEAD_COVERAGE_MM and field_of_view_mm(facts) > _HEAD_LENGTH_MM
