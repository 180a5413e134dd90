"""The outlines over the images of one series."""

from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from analysis.domain.findings import SeriesFindings
from analysis.domain.reason import Reason, quoted
from analysis.domain.segmentation import Level, Segmentation
from dicom_templates.pictures.overlay import draw_overlay
from dicom_templates.pictures.palette import BACKGROUND, BODY, EXCLUDED, FLUID, NEXT_BODY
from dicom_templates.pictures.slice_view import SliceView
from dicom_templates.words.texts import Texts
from tests.dicom_templates.cases import make_case
from tests.dicom_templates.views import only_written

ENGLISH = Texts("en")
T = TypeVar("T", bound=np.generic)


def a_series(slices: int = 6, size: int = 96) -> SeriesFindings:
    return make_case(slices=slices, size=size).findings.series[0]


def changed(found: SeriesFindings, **of_segmentation: object) -> SeriesFindings:
    return replace(found, segmentation=replace(found.segmentation, **of_segmentation))  # type: ignore[arg-type]


def near(picture: npt.NDArray[np.uint8], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) < 30)


def test_it_is_the_same_every_time_and_in_every_language() -> None:
    picture = draw_overlay(a_series(), ENGLISH)
    assert picture.shape == (1000, 1600, 3)
    assert np.array_equal(picture, draw_overlay(a_series(), ENGLISH))
    assert not np.array_equal(picture, draw_overlay(a_series(), Texts("de")))


def test_neighbouring_bodies_have_different_colours_and_the_fluid_one_of_its_own() -> None:
    picture = draw_overlay(a_series(), ENGLISH)
    for colour in (BODY, NEXT_BODY, FLUID):
        assert near(picture, colour).sum() > 50, colour
    assert near(picture, EXCLUDED).sum() == 0


def test_a_body_that_is_not_usable_is_drawn_in_another_way_and_its_reason_told() -> None:
    found = a_series()
    regions = tuple(
        replace(region, usable=region.level is not Level.L3, concerns=(Reason("touches_edge"),))
        for region in found.segmentation.regions
    )
    picture = draw_overlay(changed(found, regions=regions), ENGLISH)
    assert near(picture, EXCLUDED).sum() > 50
    other = tuple(replace(region, concerns=(quoted("metal"),)) for region in regions)
    assert not np.array_equal(picture, draw_overlay(changed(found, regions=other), ENGLISH))


def test_a_body_that_is_not_usable_has_a_dashed_outline() -> None:
    found = a_series()
    whole = draw_overlay(found, ENGLISH)
    regions = tuple(
        replace(region, usable=False) if region.level is Level.L3 else region
        for region in found.segmentation.regions
    )
    dashed = draw_overlay(changed(found, regions=regions), ENGLISH)
    # Above the table, pixels that lost the colour of the body have the other colour, or none between dashes.
    own = [near(picture, BODY) | near(picture, NEXT_BODY) for picture in (whole, dashed)]
    gone = (own[0] & ~own[1])[:650]
    drawn = near(dashed, EXCLUDED)[:650] & gone
    assert gone.sum() > 200
    assert 0.3 < drawn.sum() / gone.sum() < 0.75


def test_every_slice_is_on_the_sheet() -> None:
    found = a_series()
    blank = draw_overlay(found, ENGLISH)
    for number in range(found.source.volume.grid.shape[0]):
        voxels = found.source.volume.voxels.copy()
        voxels[number] = voxels[number, ::-1]
        flipped = replace(
            found, source=replace(found.source, volume=replace(found.source.volume, voxels=voxels))
        )
        differs = np.abs(draw_overlay(flipped, ENGLISH).astype(int) - blank.astype(int)).max(axis=-1) > 60
        sheet = differs[70:650, 604:]
        assert sheet.sum() > 100, number
        # The difference lies within one tile: no other slice changes.
        columns = np.flatnonzero(sheet.any(axis=0))
        assert columns[-1] - columns[0] < 400


def test_a_stored_slice_that_lies_on_its_side_gives_the_same_picture() -> None:
    found = a_series()
    grid, segmentation = found.source.volume.grid, found.segmentation
    turned = replace(
        grid,
        axes=np.stack([grid.axes[0], grid.axes[2], -grid.axes[1]]),
        origin_mm=grid.to_mm([0, 95, 0]).tolist(),
    )

    def lie(array: npt.NDArray[T]) -> npt.NDArray[T]:
        return np.ascontiguousarray(array[:, ::-1].transpose(0, 2, 1))

    assert segmentation.csf is not None
    lying = replace(
        found,
        source=replace(
            found.source,
            volume=replace(found.source.volume, voxels=lie(found.source.volume.voxels), grid=turned),
        ),
        segmentation=replace(
            segmentation,
            labels=lie(segmentation.labels),
            grid=turned,
            csf=replace(segmentation.csf, mask=lie(segmentation.csf.mask)),
        ),
    )
    upright, seen = draw_overlay(found, ENGLISH), draw_overlay(lying, ENGLISH)
    assert (np.abs(upright.astype(int) - seen.astype(int)).max(axis=-1) > 60).mean() < 2e-3


def test_a_millimetre_is_as_long_down_as_across_whatever_the_pixels_are() -> None:
    points = np.array([[30.0, 10.0], [60.0, 50.0]])
    view = SliceView.fit((80, 200), (2.0, 0.8), points, (0.0, 0.0), (300.0, 400.0))
    (x, y), (right, below) = view.to_canvas(np.array([[30.0, 10.0], [40.0, 14.0]]))
    assert right - x == pytest.approx(10 * 0.8 * view.units_per_mm, rel=0.02)
    assert below - y == pytest.approx(4 * 2.0 * view.units_per_mm, rel=0.02)


def test_a_series_without_bodies_or_fluid_can_be_drawn() -> None:
    found = a_series()
    empty = Segmentation(
        np.zeros_like(found.segmentation.labels), found.segmentation.grid, (), 0.0, False, None, (), "nobody"
    )
    picture = draw_overlay(replace(found, segmentation=empty), ENGLISH)
    assert not near(picture, FLUID).all()
    assert near(picture, BODY).sum() == 0


def _seen_by(colour: tuple[int, int, int], kind: str) -> npt.NDArray[np.float64]:
    """Return a colour as seen without one kind of cone (Viénot, Brettel and Mollon 1999), linear RGB."""
    linear = (np.array(colour) / 255.0) ** 2.2
    matrix = {
        "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
        "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
        "usual": np.eye(3).tolist(),
    }[kind]
    return np.clip(np.array(matrix) @ linear, 0.0, 1.0) ** (1 / 2.2)


@pytest.mark.parametrize("kind", ["usual", "protan", "deutan"])
def test_what_lies_side_by_side_differs_for_every_kind_of_colour_vision(kind: str) -> None:
    beside = [
        (BODY, NEXT_BODY),
        (BODY, EXCLUDED),
        (BODY, BACKGROUND),
        (NEXT_BODY, FLUID),
        (FLUID, BACKGROUND),
    ]
    for one, other in beside:
        assert np.linalg.norm(_seen_by(one, kind) - _seen_by(other, kind)) > 0.25, (kind, one, other)
    assert all(one != other for one, other in pairwise((BODY, NEXT_BODY, FLUID, EXCLUDED)))


def words_on(found: SeriesFindings, language: str = "en") -> list[str]:
    with only_written() as drawn:
        draw_overlay(found, Texts(language))
    return [str(call.args[2]) for call in drawn.call_args_list]


@pytest.mark.parametrize("from_left", [False, True])
def test_every_slice_says_on_which_side_it_lies_and_where_front_and_back_are(from_left: bool) -> None:  # noqa: FBT001
    found = a_series(slices=7)
    grid = found.source.volume.grid
    if from_left:
        axes = grid.axes * [[-1.0], [1.0], [1.0]]
        volume = replace(found.source.volume, grid=replace(grid, axes=axes))
        found = replace(found, source=replace(found.source, volume=volume))
    told = words_on(found)
    right, left = ("L", "R") if from_left else ("R", "L")
    for number, place in enumerate(
        (f"{right} 13 mm", f"{right} 9 mm", f"{right} 4 mm", "mid-sagittal", f"{left} 4 mm", f"{left} 9 mm"),
        start=1,
    ):
        assert f"{number}  {place}" in told
    # On the large picture and on each of the seven small ones.
    assert told.count("A") == told.count("P") == 8


@pytest.mark.parametrize(
    ("language", "good", "doubtful", "not_used"),
    [
        ("en", "good", "doubtful", "not used"),
        ("de", "gut", "fraglich", "nicht verwendet"),
        ("fr", "bon", "douteux", "non utilisé"),
    ],
)
def test_bodies_are_good_doubtful_or_not_used_and_no_percent_is_told(
    language: str, good: str, doubtful: str, not_used: str
) -> None:
    found = a_series()
    concerns = {Level.L2: (Reason("touches_edge"),)}
    regions = tuple(
        replace(one, usable=one.level is not Level.L4, concerns=concerns.get(one.level, ()))
        for one in found.segmentation.regions
    )
    told = words_on(changed(found, regions=regions), language)
    # Beside the bodies what is not good, in the table all of them.
    assert {"L1", f"L2  {doubtful}", "L3", f"L4  {not_used}"} <= set(told)
    assert (told.count(good), told.count(doubtful), told.count(not_used)) == (4, 1, 1)
    assert not [words for words in told if "%" in words]
