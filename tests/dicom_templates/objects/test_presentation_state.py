"""The presentation state shows outlines and names where the bodies are, over images that look as before."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as Polygon
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian

from analysis.domain.segmentation import Level, Segmentation
from dicom_templates.objects import presentation_state
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import build
from tests.dicom_templates import gates
from tests.dicom_templates.cases import Case, enhanced_header, make_case
from tests.dicom_templates.shown import annotations_on, drawn
from tests.peers import program, run


def small(language: str = "en") -> Case:
    case = make_case(slices=4, size=64, language=language)
    return replace(case, options=replace(case.options, kinds=frozenset({ResultKind.GSPS})))


def changed(case: Case, **of_segmentation: Any) -> Case:
    """Change the segmentation of the first series, and leave the other out."""
    first = case.findings.series[0]
    segmentation = replace(first.segmentation, **of_segmentation)
    series = (replace(first, segmentation=segmentation),)
    return replace(case, findings=replace(case.findings, series=series))


def state_of(case: Case) -> Dataset:
    """Return the presentation state of the first series."""
    return build(case.findings, case.sources, case.options).objects[0].dataset


def lines(annotation: Dataset) -> Iterator[npt.NDArray[np.float64]]:
    for line in annotation.get("GraphicObjectSequence", ()):
        assert (line.GraphicAnnotationUnits, line.GraphicType) == ("PIXEL", "POLYLINE")
        yield np.array(line.GraphicData, dtype=np.float64).reshape(-1, 2)


def inside(found: list[npt.NDArray[np.float64]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels whose centres lie inside an odd number of the lines."""
    rows, columns = np.indices(shape)
    # In PIXEL units the centre of the first pixel is (0.5, 0.5) (PS3.3 C.10.5).
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    crossed = [Polygon(line).contains_points(centres).reshape(shape) for line in found]
    return np.asarray(np.logical_xor.reduce(crossed), dtype=np.bool_)


def words_on(state: Dataset, image: str, frame: int | None = None) -> list[str]:
    return [
        str(words.UnformattedTextValue)
        for annotation in annotations_on(state, image, frame)
        for words in annotation.TextObjectSequence
    ]


def test_a_square_is_outlined_at_the_outer_corners_of_its_pixels() -> None:
    case = small()
    labels = np.zeros_like(case.findings.series[0].segmentation.labels)
    labels[2, 10:20, 30:45] = Level.L3
    regions = case.findings.series[0].segmentation.regions
    l3 = tuple(one for one in regions if one.level is Level.L3)
    case = changed(case, labels=labels, regions=l3, csf=None)
    series = (replace(case.findings.series[0], measurements=()),)
    state = state_of(replace(case, findings=replace(case.findings, series=series)))
    (line,) = [line for annotation in state.GraphicAnnotationSequence for line in lines(annotation)]
    assert line.min(axis=0).tolist() == [30.0, 10.0]
    assert line.max(axis=0).tolist() == [45.0, 20.0]
    assert line[0].tolist() == line[-1].tolist()


def test_the_lines_enclose_the_pixels_of_the_masks_on_every_slice() -> None:
    case = small()
    found = case.findings.series[0]
    # With a hole, and a second part.
    labels = found.segmentation.labels.copy()
    rows, columns = np.nonzero(labels[2] == Level.L2)
    labels[2, rows.min() + 1 : rows.min() + 3, columns.min() + 2 : columns.min() + 4] = 0
    labels[2, 1:4, 1:4] = Level.L2
    state = state_of(changed(case, labels=labels))
    assert found.segmentation.csf is not None
    for number, header in enumerate(case.sources[found.source.series_uid]):
        on_layers: dict[str, list[npt.NDArray[np.float64]]] = {}
        for annotation in annotations_on(state, header.SOPInstanceUID):
            on_layers.setdefault(annotation.GraphicLayer, []).extend(lines(annotation))
        wanted = {
            "BODIES": (labels[number] > 0) & (labels[number] != Level.S1),
            "NEIGHBOURS": labels[number] == Level.S1,
            "CSF": found.segmentation.csf.mask[number],
        }
        for layer, mask in wanted.items():
            if mask.any():
                assert np.array_equal(inside(on_layers[layer], mask.shape), mask), (number, layer)
            else:
                assert layer not in on_layers


def test_each_body_has_its_name_in_front_of_it_on_every_slice_and_what_was_not_used_says_so() -> None:
    case = small()
    found = case.findings.series[0]
    regions = tuple(replace(one, usable=one.level is not Level.L2) for one in found.segmentation.regions)
    state = state_of(changed(case, regions=regions))
    middle = case.sources[found.source.series_uid][2].SOPInstanceUID
    names = words_on(state, middle)
    assert names[:6] == ["L1", "L2, not used", "L3", "L4", "L5", "S1"]
    (l2,) = [
        one
        for one in state.GraphicAnnotationSequence
        if one.GraphicLayer == "NOT_USED" and middle in str(one)
    ]
    (line,) = lines(l2)
    assert l2.TextObjectSequence[0].BoundingBoxBottomRightHandCorner[0] < line[:, 0].min()


@pytest.mark.parametrize(("language", "body"), [("en", "body 1"), ("de", "WK 1"), ("fr", "corps 1")])
def test_where_names_are_not_certain_bodies_are_numbered_and_every_image_says_why(
    language: str, body: str
) -> None:
    case = changed(small(language=language), levels_certain=False)
    state = state_of(case)
    for header in case.sources[case.findings.series[0].source.series_uid][1:3]:
        told = words_on(state, header.SOPInstanceUID)
        assert told[0] == body
        assert not {"L1", "L2", "L3", "L4", "L5", "S1"} & set(told)
    made = build(case.findings, case.sources, case.options)
    sentence = made.report.texts("uncertain_levels", contrast="T1")
    assert sentence in " ".join(told[-1].split())


def test_the_caption_says_what_made_the_outlines_and_when() -> None:
    case = small()
    state = state_of(case)
    caption = words_on(state, case.sources[case.findings.series[0].source.series_uid][0].SOPInstanceUID)[-1]
    assert "outlines by OsteoNode segmenter 1" in caption
    assert "Not verified by a human reader" in " ".join(caption.split())
    assert "Analysed on 2026-01-05 at 09:30" in caption
    assert (state.PresentationCreationDate, state.PresentationCreationTime) == ("20260105", "093000")


def test_a_series_without_bodies_has_none() -> None:
    case = small()
    found = case.findings.series[0]
    labels = np.zeros_like(found.segmentation.labels)
    empty = Segmentation(labels, found.segmentation.grid, (), 0.0, False, None, (), "nobody")
    series = (replace(found, segmentation=empty, measurements=()),)
    case = replace(case, findings=replace(case.findings, series=series))
    assert not build(case.findings, case.sources, case.options).objects


def test_a_line_with_too_many_points_for_one_object_goes_on_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = [one for annotation in state_of(small()).GraphicAnnotationSequence for one in lines(annotation)]
    monkeypatch.setattr(presentation_state, "_MOST_POINTS", 7)
    parts = [one for annotation in state_of(small()).GraphicAnnotationSequence for one in lines(annotation)]
    assert max(map(len, parts)) == 7
    joined = [parts[0]]
    for part in parts[1:]:
        # A whole line is closed; one that is not yet goes on.
        if np.array_equal(joined[-1][0], joined[-1][-1]):
            joined.append(part)
        else:
            assert np.array_equal(part[0], joined[-1][-1])
            joined[-1] = np.concatenate([joined[-1], part[1:]])
    assert all(np.array_equal(one, other) for one, other in zip(joined, whole, strict=True))


# --- Grey ----------------------------------------------------------------------------------------


def windowed(case: Case, **values: object) -> Case:
    for headers in case.sources.values():
        for header in headers:
            for keyword, value in values.items():
                setattr(header, keyword, value)
    return case


def windows(state: Dataset) -> list[tuple[float, float]]:
    return [(float(one.WindowCenter), float(one.WindowWidth)) for one in state.SoftcopyVOILUTSequence]


def test_the_window_of_the_images_is_repeated() -> None:
    state = state_of(windowed(small(), WindowCenter=["300.5", "40"], WindowWidth=["600", "80"]))
    assert windows(state) == [(300.5, 600.0)]
    assert "RescaleSlope" not in state
    assert "ReferencedImageSequence" not in state.SoftcopyVOILUTSequence[0]


def test_each_image_keeps_a_window_of_its_own() -> None:
    case = small()
    headers = case.sources[case.findings.series[0].source.series_uid]
    for number, header in enumerate(headers):
        header.WindowCenter, header.WindowWidth = 100 + number // 2, 50
    state = state_of(case)
    assert windows(state) == [(100.0, 50.0), (101.0, 50.0)]
    shown = [
        [one.ReferencedSOPInstanceUID for one in item.ReferencedImageSequence]
        for item in state.SoftcopyVOILUTSequence
    ]
    uids = [header.SOPInstanceUID for header in headers]
    assert shown == [uids[:2], uids[2:]]


def test_rescaling_is_repeated_and_where_it_differs_windows_are_in_stored_values() -> None:
    case = windowed(small(), WindowCenter=300, WindowWidth=600, RescaleSlope=2, RescaleIntercept=-100)
    state = state_of(case)
    assert (float(state.RescaleSlope), float(state.RescaleIntercept)) == (2.0, -100.0)
    assert windows(state) == [(300.0, 600.0)]
    case.sources[case.findings.series[0].source.series_uid][0].RescaleSlope = 4
    state = state_of(case)
    assert "RescaleSlope" not in state
    assert windows(state) == [(100.0, 150.0), (200.0, 300.0)]


def test_a_window_narrower_than_1_is_in_stored_values() -> None:
    case = windowed(small(), WindowCenter=0.5, WindowWidth=0.5, RescaleSlope="0.001", RescaleIntercept=0)
    state = state_of(case)
    assert "RescaleSlope" not in state
    assert windows(state) == [(500.0, 500.0)]


@pytest.mark.parametrize("width", ["", "0", "4,0", "NaN"])
def test_a_window_that_is_none_is_replaced_by_one_that_shows_the_signal(width: str) -> None:
    case = small()
    found = case.findings.series[0]
    for header in case.sources[found.source.series_uid]:
        header.WindowCenter = 300
        header._dict.update(raw_width(width))  # as a damaged file has it
    ((centre, width_told),) = windows(state_of(case))
    signal = found.source.volume.voxels[found.mid_slice]
    assert signal.min() < centre < signal.max()
    assert 0.5 * np.ptp(signal) < width_told <= np.ptp(signal)


def test_frames_of_an_enhanced_object_are_referenced_by_number() -> None:
    case = small()
    found = case.findings.series[0]
    uid = found.source.series_uid
    enhanced = enhanced_header(case.sources[uid])
    for number, groups in enumerate(enhanced.PerFrameFunctionalGroupsSequence):
        window = Dataset()
        window.WindowCenter, window.WindowWidth = 100 + number, 50
        groups.FrameVOILUTSequence = [window]
    findings = replace(case.findings, series=(found,))
    case = replace(case, findings=findings, sources={uid: [enhanced]})
    state = state_of(case)
    (whole,) = state.ReferencedSeriesSequence[0].ReferencedImageSequence
    assert (whole.ReferencedSOPInstanceUID, list(whole.ReferencedFrameNumber)) == ("1.2.3.4.5", [1, 2, 3, 4])
    assert words_on(state, "1.2.3.4.5", frame=3)[:5] == ["L1", "L2", "L3", "L4", "L5"]
    assert len(words_on(state, "1.2.3.4.5", frame=1)) == 1
    assert windows(state) == [(100.0, 50.0), (101.0, 50.0), (102.0, 50.0), (103.0, 50.0)]


@pytest.mark.peers
@pytest.mark.parametrize("rescaled", [False, True])
def test_dcmtk_shows_the_image_as_without_it(rescaled: bool, tmp_path: Path) -> None:  # noqa: FBT001
    case = windowed(small(), WindowCenter=200, WindowWidth=150)
    if rescaled:
        windowed(case, RescaleSlope=0.5, RescaleIntercept=20)
    image, state_file, _ = write(case, tmp_path)
    gates.no_dcmpschk_complaints(state_file)
    run([program("dcmp2pgm", "dcmtk"), image, tmp_path / "plain.pgm"])
    run([program("dcmp2pgm", "dcmtk"), "-p", state_file, image, tmp_path / "state.pgm"])
    assert (tmp_path / "plain.pgm").read_bytes() == (tmp_path / "state.pgm").read_bytes()
    assert len(set((tmp_path / "state.pgm").read_bytes()[-64 * 64 :])) > 5


@pytest.mark.peers
def test_drawn_over_the_picture_of_dcmtk_the_lines_run_along_the_edges_of_the_bodies(tmp_path: Path) -> None:
    case = windowed(small(), WindowCenter=200, WindowWidth=150)
    found = case.findings.series[0]
    image, state_file, state = write(case, tmp_path)
    uid = case.sources[found.source.series_uid][2].SOPInstanceUID
    zoom = 8
    picture = np.asarray(drawn(image, uid, state_file, state, tmp_path, zoom=zoom), dtype=np.int16)
    blue = np.abs(picture - [86, 180, 233]).max(axis=-1) < 6
    used = np.isin(found.segmentation.labels[2], [int(level) for level in Level if level.lumbar])
    rows, columns = np.nonzero(used)
    # Right of the names, which have the same colour.
    names_end = np.nonzero(found.segmentation.labels[2] == Level.L5)[1].min() * zoom
    drawn_rows = np.flatnonzero(blue[:, names_end:].any(axis=1))
    drawn_columns = np.flatnonzero(blue.any(axis=0))
    assert (drawn_rows[0], drawn_rows[-1]) == (rows.min() * zoom, (rows.max() + 1) * zoom)
    assert drawn_columns[-1] == (columns.max() + 1) * zoom


def write(case: Case, folder: Path) -> tuple[Path, Path, Dataset]:
    """Write the third image of the first series, and the presentation state."""
    found = case.findings.series[0]
    state = state_of(case)
    state_file, image = folder / "state.dcm", folder / "image.dcm"
    state.save_as(state_file, enforce_file_format=True)
    header = case.sources[found.source.series_uid][2]
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 0
    pixels = found.source.volume.voxels[2]
    header.add_new("PixelData", "OW", np.rint(pixels).astype("<u2").tobytes())
    header.save_as(image, enforce_file_format=True)
    return image, state_file, state


def raw_width(value: str) -> dict[BaseTag, DataElement | RawDataElement]:
    tag = Tag("WindowWidth")
    return {tag: RawDataElement(tag, "DS", len(value), value.encode(), 0, False, True)}
