"""The outlines of one series as a presentation state (GSPS), which a viewer lays over the images themselves.

For a PACS that shows neither SR nor SEG.

References
----------
DICOM PS3.3 A.33.1 Grayscale Softcopy Presentation State IOD, C.10.5 Graphic Annotation, C.10.7 Graphic Layer,
C.11.10 Presentation State Identification, C.11.11 Presentation State Relationship.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom.color import CIELabColor
from highdicom.pr import GraphicLayer, GraphicObject, TextObject
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage
from pydicom.valuerep import format_number_as_ds

from analysis.domain.findings import SeriesFindings
from analysis.domain.segmentation import Region
from dicom_templates.borders import borders
from dicom_templates.objects.common_modules import ObjectIdentity, workstation_object
from dicom_templates.options import ReportOptions
from dicom_templates.origin.source_series import ImageReference, SourceSeries, instance_item
from dicom_templates.words.checks import qualities
from dicom_templates.words.levels import level_names
from dicom_templates.words.study_report import StudyReport
from dicom_templates.words.texts import Texts

__all__ = ["presentation_state"]

_USED = GraphicLayer("BODIES", 1, "Vertebral bodies that were used", CIELabColor.from_rgb(86, 180, 233))
_NOT_USED = GraphicLayer("NOT_USED", 2, "Lumbar bodies that were not used", CIELabColor.from_rgb(230, 159, 0))
_OTHERS = GraphicLayer("NEIGHBOURS", 3, "Bodies above and below", CIELabColor.from_rgb(164, 174, 188))
_FLUID = GraphicLayer("CSF", 4, "CSF that the VBQ refers to", CIELabColor.from_rgb(204, 121, 167))
_CAPTION = GraphicLayer("CAPTION", 5, "What made the outlines", CIELabColor.from_rgb(236, 240, 245))
_LAYERS = (_USED, _NOT_USED, _OTHERS, _FLUID, _CAPTION)
"""A viewer can hide each of them. Colours are those of the summary picture."""

_MOST_POINTS = 8000
"""Points of one graphic object: in explicit syntax its data may have 65534 bytes (PS3.5 7.1.2)."""
_LETTER_MM = 4.0
_LINE_MM = 8.0
_GAP_MM = 2.0
_CAPTION_LETTERS = 72
_CAPTION_LINE = 0.03
"""Height of one line of the caption, in parts of the displayed area."""


def presentation_state(
    found: SeriesFindings,
    source: SourceSeries,
    report: StudyReport,
    options: ReportOptions,
    identity: ObjectIdentity,
) -> Dataset:
    """Write the outlines on all slices of one series, with the names of the bodies.

    Parameters
    ----------
    found : SeriesFindings
        An analysed series with at least one region.
    source : SourceSeries
        The images it was made from.
    report : StudyReport
        The report in words.
    options : ReportOptions
        Date and time.
    identity : ObjectIdentity
        Its UIDs, series number and description.

    Returns
    -------
    Dataset
    """
    state = workstation_object(GrayscaleSoftcopyPresentationStateStorage, "PR", identity)
    # Only images and documents have it.
    del state.ConversionType
    state.ContentLabel = "OUTLINES"
    state.ContentDescription = identity.description
    # No person made it.
    state.ContentCreatorName = ""
    state.PresentationCreationDate, state.PresentationCreationTime = options.date, options.time
    state.ReferencedSeriesSequence = [_series(source)]
    state.DisplayedAreaSelectionSequence = [_whole_image(found, source)]
    drawings = [*_drawings(found, source, report.texts), _caption(found, report)]
    state.GraphicAnnotationSequence = [one.item() for one in drawings]
    layers = {one.layer.GraphicLayer for one in drawings}
    state.GraphicLayerSequence = [deepcopy(layer) for layer in _LAYERS if layer.GraphicLayer in layers]
    _add_grey_scale(state, found, source)
    return state


def _series(source: SourceSeries) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = source.series_uid
    item.ReferencedImageSequence = _references(source.images)
    return item


def _references(images: Iterable[ImageReference]) -> list[Dataset]:
    """Write references to images, one for each object (PS3.3 table 10-3)."""
    frames: dict[tuple[str, str], list[int]] = {}
    for image in images:
        of_object = frames.setdefault((image.sop_class_uid, image.sop_instance_uid), [])
        if image.frame is not None:
            of_object.append(image.frame)
    items = []
    for identity, numbers in frames.items():
        items.append(instance_item(*identity))
        if numbers:
            items[-1].ReferencedFrameNumber = numbers
    return items


def _whole_image(found: SeriesFindings, source: SourceSeries) -> Dataset:
    rows, columns = found.source.volume.grid.shape[1:]
    area = Dataset()
    # Here, unlike in annotations, the first pixel is 1\1 (PS3.3 C.10.4).
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [columns, rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelSpacing = list(source.pixel_spacing_mm)
    return area


# --- Outlines and names ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Drawing:
    """Lines and words on one layer of the given images; on all images if none are given."""

    layer: GraphicLayer
    images: tuple[ImageReference, ...]
    lines: tuple[npt.NDArray[np.float64], ...]
    words: tuple[TextObject, ...]

    def item(self) -> Dataset:
        annotation = Dataset()
        annotation.GraphicLayer = self.layer.GraphicLayer
        if self.images:
            annotation.ReferencedImageSequence = _references(self.images)
        if self.lines:
            annotation.GraphicObjectSequence = [
                GraphicObject("POLYLINE", part, "PIXEL") for line in self.lines for part in _parts(line)
            ]
        annotation.TextObjectSequence = list(self.words)
        return annotation


def _parts(line: npt.NDArray[np.float64]) -> Iterator[npt.NDArray[np.float64]]:
    """Divide a line that has too many points; each part begins where the one before it ends."""
    for first in range(0, len(line) - 1, _MOST_POINTS - 1):
        yield line[first : first + _MOST_POINTS]


def _drawings(found: SeriesFindings, source: SourceSeries, texts: Texts) -> Iterator[_Drawing]:
    segmentation, names = found.segmentation, level_names(found, texts)
    regions = [
        (region.level, _layer(region), _words(region, names[region.level], texts))
        for region in segmentation.regions
    ]
    # Mask by mask and slice by slice: masks of whole volumes are as large as the image.
    for number, image in enumerate(source.images):
        masks = [(segmentation.labels[number] == level, *drawn) for level, *drawn in regions]
        if segmentation.csf is not None:
            masks.append((segmentation.csf.mask[number], _FLUID, texts("fluid")))
        for mask, layer, words in masks:
            lines = borders(mask)
            if lines:
                behind = layer is _FLUID
                yield _Drawing(layer, (image,), tuple(lines), (_name(words, lines, found, behind=behind),))


def _layer(region: Region) -> GraphicLayer:
    if not region.level.lumbar:
        return _OTHERS
    return _USED if region.usable else _NOT_USED


def _words(region: Region, name: str, texts: Texts) -> str:
    return name if region.usable or not region.level.lumbar else f"{name}, {texts('excluded')}"


def _name(
    words: str, lines: Sequence[npt.NDArray[np.float64]], found: SeriesFindings, *, behind: bool
) -> TextObject:
    """Write a name beside an outline: in front of a body, behind the fluid."""
    grid = found.source.volume.grid
    _, rows, columns = grid.shape
    row_mm, column_mm = grid.spacing_mm[1:]
    points = np.concatenate(lines)
    # In LPS, y grows to the back.
    back_is_right = bool(grid.axes[2][1] >= 0)
    on_the_left = back_is_right is not behind
    width = min(len(words) * _LETTER_MM / column_mm, columns - 1.0)
    height = min(_LINE_MM / row_mm, rows - 1.0)
    edge = (
        points[:, 0].min() - _GAP_MM / column_mm - width
        if on_the_left
        else points[:, 0].max() + _GAP_MM / column_mm
    )
    left = float(np.clip(edge, 0.0, columns - width))
    top = float(np.clip(points[:, 1].mean() - height / 2, 0.0, rows - height))
    return TextObject(
        words,
        "PIXEL",
        bounding_box=(round(left, 1), round(top, 1), round(left + width, 1), round(top + height, 1)),
        text_justification="RIGHT" if on_the_left else "LEFT",
    )


def _caption(found: SeriesFindings, report: StudyReport) -> _Drawing:
    """Write at the foot of all images what made the outlines, and where names are not certain."""
    texts, contrast = report.texts, found.identification.contrast.value
    grade = qualities(found, texts)["grade"]
    told = [
        f"{texts.weighting(contrast)}: {texts('outlines_by', method=found.segmentation.method)}, {grade}",
        texts("not_for_short"),
        report.analysed,
    ]
    if not found.segmentation.levels_certain:
        told.insert(1, texts("uncertain_levels", contrast=contrast))
    lines = [line for sentence in told for line in textwrap.wrap(sentence, _CAPTION_LETTERS)]
    box = (0.01, round(1.0 - _CAPTION_LINE * (len(lines) + 1), 2), 0.99, 0.99)
    words = TextObject("\r\n".join(lines), "DISPLAY", bounding_box=box, text_justification="LEFT")
    return _Drawing(_CAPTION, (), (), (words,))


# --- Grey scale -----------------------------------------------------------------------------------


def _add_grey_scale(state: Dataset, found: SeriesFindings, source: SourceSeries) -> None:
    """Show each image as it says itself, because a presentation state replaces that."""
    scales, usual = source.grey_scales, _usual_window(found)
    windows = [scale.window or usual for scale in scales]
    rescaled = {(scale.slope, scale.intercept) for scale in scales}
    # A presentation state has one Modality LUT for all images, and no window narrower than 1. Where that does
    # not do, it has no Modality LUT, and windows are in stored values.
    together = len(rescaled) == 1 and all(width >= 1.0 for _, width in windows)
    if together and rescaled != {(1.0, 0.0)}:
        state.RescaleSlope, state.RescaleIntercept = map(_decimal, *rescaled)
        state.RescaleType = "US"
    images_of: dict[tuple[str, str], list[ImageReference]] = {}
    for image, scale, (centre, width) in zip(source.images, scales, windows, strict=True):
        told = (centre, width)
        if not together:
            told = (centre - scale.intercept) / scale.slope, width / scale.slope
        images_of.setdefault((_decimal(told[0]), _decimal(max(told[1], 1.0))), []).append(image)
    state.SoftcopyVOILUTSequence = [
        _window(window, images if len(images_of) > 1 else ()) for window, images in images_of.items()
    ]
    # Images whose values are inverted are not analysed.
    state.PresentationLUTShape = "IDENTITY"


def _usual_window(found: SeriesFindings) -> tuple[float, float]:
    """Return centre and width of a window that shows most of the signal of the mid-sagittal slice."""
    low, high = np.percentile(found.source.volume.signal(found.mid_slice), (1.0, 99.5))
    return float(low + high) / 2, float(high - low)


def _window(window: tuple[str, str], images: Sequence[ImageReference]) -> Dataset:
    item = Dataset()
    if images:
        item.ReferencedImageSequence = _references(images)
    item.WindowCenter, item.WindowWidth = window
    return item


def _decimal(value: float) -> str:
    return format_number_as_ds(float(value))
