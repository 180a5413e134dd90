"""The results as a radiologist sees them: in OHIF, in a browser, over a real Orthanc."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import srread
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydicom import Dataset, dcmread

from node.analyse.study import analyse_files
from node.config import default
from node.decode import files_below
from tests.patience import PATIENCE_S
from tests.peers import Orthanc, program
from tests.viewer import ARTEFACTS, Viewer, dicomweb

# The first test includes simulating a patient, an analysis, and starting a viewer of 200 MB.
pytestmark = [
    pytest.mark.peers,
    pytest.mark.slow,
    pytest.mark.gate("a browser with a viewer of 200 MB; the same objects are read by other programs before"),
]

_LEVELS = ("L1", "L2", "L3", "L4", "L5")
_YELLOW = (240, 228, 66)


@dataclass(slots=True)
class Shown:
    """A study with its results, open in the viewer.

    Attributes
    ----------
    page : Page
        The page of the browser.
    results : Path
        Folder of the result files.
    faults : list of str
        Errors that the page raised or wrote to its console.
    """

    page: Page
    results: Path
    faults: list[str] = field(default_factory=list)

    def open(self, description: str) -> None:
        """Open a series by a double click on it."""
        self.page.get_by_text(re.compile(description)).first.dblclick()

    def words(self) -> str:
        """Return all text on the page."""
        return " ".join(self.page.inner_text("body").split())

    def wait_for(self, done: Callable[[], object]) -> None:
        """Call `done` every half second until it returns something true."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            if done():
                return
            self.page.wait_for_timeout(500)
        self.keep("waited-in-vain")
        pytest.fail(f"waited in vain; the page says: {self.words()[-800:]}")

    def slice_shown(self) -> tuple[int, int]:
        """Return number and count of slices from the corner of the image; (0, 0) before there is an image."""
        corner = re.search(r"\((\d+)/(\d+)\)", self.words())
        return (int(corner[1]), int(corner[2])) if corner else (0, 0)

    def turn_a_slice_and_back(self) -> None:
        """Scroll to another slice and back to this one."""
        here, _ = self.slice_shown()
        self.page.locator("canvas.cornerstone-canvas").first.hover(position={"x": 200, "y": 700})
        self.page.mouse.wheel(0, 100)
        self.wait_for(lambda: self.slice_shown()[0] != here)

        def is_back() -> bool:
            """Tell whether the slice is shown again; scroll towards it if it is not."""
            there, _ = self.slice_shown()
            if there != here:
                self.page.mouse.wheel(0, -100 if there > here else 100)
            return there == here

        self.wait_for(is_back)

    def keep(self, name: str) -> Image.Image:
        """Save a screenshot among the artefacts, and return it."""
        ARTEFACTS.mkdir(exist_ok=True)
        picture = self.page.screenshot(path=ARTEFACTS / f"ohif-{name}.png")
        return Image.open(BytesIO(picture)).convert("RGB")


@pytest.fixture(scope="module")
def shown(sample_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    work = tmp_path_factory.mktemp("ohif")
    outcome = analyse_files(files_below([sample_study / "studies"]), default(), work / "results")
    assert not outcome.refusals
    files = [
        path for path in files_below([sample_study / "studies", work / "results"]) if path.suffix == ".dcm"
    ]
    study_uid = str(dcmread(outcome.results[0].path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    chromium = program("chromium", "chromium")
    with (
        Orthanc(work / "orthanc", dicomweb()) as orthanc,
        Viewer(work / "viewer", orthanc) as viewer,
        sync_playwright() as playwright,
    ):
        orthanc.store(files)
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE_S * 1000)
        # The guided tour would cover the page and take every click.
        page.add_init_script("localStorage.setItem('shownTours', '[\"basicViewerTour\"]')")
        opened = Shown(page, work / "results")
        page.on("pageerror", lambda error: opened.faults.append(str(error)))
        page.on("console", lambda said: opened.faults.append(said.text) if said.type == "error" else None)
        page.goto(viewer.url(study_uid), wait_until="commit")
        opened.wait_for(lambda: "Values:" in opened.words() and "1/3" in opened.words())
        yield opened
        browser.close()


@pytest.fixture(autouse=True)
def no_type_error(shown: Shown) -> Iterator[None]:
    yield
    assert not [fault for fault in shown.faults if "TypeError" in fault or "reading '" in fault]


def test_the_list_of_series_tells_the_answer(shown: Shown) -> None:
    shown.keep("list")
    for kind in ("Values", "Report", "Picture"):
        assert re.search(rf"SIMULATED MODEL {kind}: risk of OP [^,]+, low BMD \S+", shown.words())


def test_the_measurement_report_shows_five_outlines_with_their_values(shown: Shown) -> None:
    shown.open("Values:")
    content = srread(shown.results / "sr.dcm").content
    groups = [
        group
        for group in content.get_volumetric_roi_measurement_groups()
        if group.tracking_identifier in {f"{level} T1" for level in _LEVELS}
    ]
    assert len(groups) == len(_LEVELS)
    expected = [
        f"{one.name.meaning}: {one.value:.2f} {one.unit.value}"
        for group in groups
        for one in group.get_measurements()
        if one.unit.value in {"cm3", "{ratio}"}
    ]
    assert len(expected) == 2 * len(_LEVELS)
    (outlined,) = dcmread(shown.results / "seg_t1.dcm").ReferencedSeriesSequence
    slices = len(outlined.ReferencedInstanceSequence)
    shown.wait_for(lambda: shown.slice_shown()[1] == slices)

    def values() -> bool:
        """Tell whether all values are shown beside the image; scroll to another slice and back if not.

        OHIF 3.13 passes the outlines to its drawing tool once the viewport exists, without requesting a new
        rendering. If the image was rendered before, as in a slow browser, the outlines are missing until the
        next rendering.
        """
        for _ in range(20):
            if all(line in shown.words() for line in expected):
                return True
            shown.page.wait_for_timeout(500)
        shown.turn_a_slice_and_back()
        return False

    shown.wait_for(values)
    # The overlay of the image has one dashed line for each outline, that is, for each measurement group.
    dashed = shown.page.locator(
        "svg.svg-layer path[stroke-dasharray], svg.svg-layer polyline[stroke-dasharray]"
    )
    shown.keep("values")
    assert dashed.count() >= len(_LEVELS)


def lines_of(item: Dataset) -> list[str]:
    own = [str(item.TextValue)] if "TextValue" in item else []
    return [*own, *(line for child in item.get("ContentSequence", ()) for line in lines_of(child))]


def test_the_text_report_reads_in_full(shown: Shown) -> None:
    shown.open("Report:")
    lines = lines_of(dcmread(shown.results / "text.dcm"))
    assert len(lines) > 20
    shown.wait_for(lambda: " ".join(lines[-1].split()) in shown.words())
    shown.keep("report")
    assert [line for line in lines if " ".join(line.split()) not in shown.words()] == []
    # A value beside its name, so that the test fails if the report is empty.
    assert "Impression: Osteoporosis:" in shown.words()


def test_the_summary_image_opens(shown: Shown) -> None:
    shown.open("Picture:")
    shown.wait_for(lambda: "1/1" in shown.words())

    def banner() -> bool:
        """Tell whether the yellow warning banner is shown in the width of the image."""
        pixels = np.asarray(shown.keep("summary"), dtype=np.int16)[:, 300:]
        yellow = (np.abs(pixels - np.array(_YELLOW)) < 12).all(axis=-1)
        return bool(yellow.sum(axis=1).max() > 700)

    shown.wait_for(banner)


def test_the_segmentation_loads_over_its_images(shown: Shown) -> None:
    shown.open("Outlines T1w")
    shown.page.get_by_role("button", name="Yes").click()
    # The segments are listed in a panel that is collapsed at first.
    shown.page.locator("[data-cy^='panelSegmentation'][data-cy$='-btn']").first.click()
    shown.wait_for(lambda: all(f"{level} vertebral body" in shown.words() for level in _LEVELS))

    def coloured() -> bool:
        """Tell whether there are coloured pixels over the grey image."""
        pixels = np.asarray(shown.keep("segmentation"), dtype=np.int16)[150:, 300:1200]
        return bool(((pixels.max(axis=-1) - pixels.min(axis=-1)) > 60).sum() > 1000)

    shown.wait_for(coloured)
