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

_WIDEST_STACK_MM = 150.0
"""Sagittal slices of a 2-D sequence that cover more than this show a head or a trunk, unless they are called
lumbar: those of a spine cover 50 to 100 mm, and somewhat more with scoliosis."""

_WIDEST_SLAB_MM = 260.0
"""The same of a 3-D sequence. Its slab covers 60 to 200 mm of a lumbar spine, because isotropic slabs are
made wide enough to keep aliasing away; only a slab of a whole trunk is wider."""

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
    then the protocol name, then the body part. The description of the study may be that of several regions,
    so it only keeps the width from deciding. The width of the stack says little, because a lumbar spine may
    lie in the middle of a slab as wide as a head; it is asked only where the header calls nothing lumbar. A
    field of view that is too short for the spine contradicts any body part.

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
    if sagittal and (too_short := _too_short(given.facts)):
        return LumbarAnswer(lumbar=False, reason=too_short)
    return _by_body_part(given.facts, sagittal=sagittal)


def _by_body_part(facts: AcquisitionFacts, *, sagittal: bool) -> LumbarAnswer:
    """Answer from the body part; where it names no region, from the study and the extent of the slices."""
    body_part = normalise(facts.body_part)
    if told := _told(body_part, "body_part"):
        if find(Word.HEAD, [body_part]) and not told.lumbar and sagittal and _no_head(facts):
            return LumbarAnswer(lumbar=None, reason=Reason("no_head_for_certain", told=told.reason))
        return told
    if spelling := find(Word.LUMBAR, [normalise(facts.study_description)]):
        return LumbarAnswer(lumbar=None, reason=Reason("lumbar_study", spelling=spelling))
    if sagittal and (too_wide := _too_wide(facts)):
        return LumbarAnswer(lumbar=False, reason=too_wide)
    return LumbarAnswer(lumbar=None, reason=Reason("body_part_not_told"))


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


def _too_short(facts: AcquisitionFacts) -> Reason | None:
    """Return why a field of view of this length cannot show a lumbar spine, or None if it can."""
    length = field_of_view_mm(facts)
    return Reason("view_too_short", length_mm=length) if 0 < length < _SMALLEST_SPINE_MM else None


def _too_wide(facts: AcquisitionFacts) -> Reason | None:
    """Return why sagittal slices that nothing calls lumbar show another part, by their extent; else None."""
    length, width = field_of_view_mm(facts), coverage_mm(facts)
    if width > _HEAD_COVERAGE_MM and 0 < length < _HEAD_LENGTH_MM:
        return Reason("size_of_a_head", width_mm=width, length_mm=length)
    slab = facts.acquisition_type.strip().upper() == "3D"
    if width > (_WIDEST_SLAB_MM if slab else _WIDEST_STACK_MM):
        return Reason("slices_too_wide", width_mm=width)
    return None


def _no_head(facts: AcquisitionFacts) -> bool:
    """Tell whether a sagittal stack is too narrow and too long to show a head."""
    return 0 < coverage_mm(facts) < _HEAD_COVERAGE_MM and field_of_view_mm(facts) > _HEAD_LENGTH_MM
