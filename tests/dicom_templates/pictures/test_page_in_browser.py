"""The page in a browser: it fits every screen and two sheets of paper; screenshots go to `artefacts`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from dicom_templates.result_set import build
from tests.dicom_templates.cases import make_case
from tests.dicom_templates.views import report_html
from tests.patience import PATIENCE_S
from tests.peers import program
from tests.viewer import ARTEFACTS

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_page_fits_every_screen_and_two_sheets(chromium: Browser, tmp_path: Path, language: str) -> None:
    case = make_case(slices=4, size=64, language=language)
    made = build(case.findings, case.sources, case.options)
    page_file = tmp_path / "report.html"
    page_file.write_text(report_html(made.report, made.pictures), encoding="utf-8")
    ARTEFACTS.mkdir(exist_ok=True)
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.goto(page_file.as_uri())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in (1536, 1024, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            page.screenshot(path=ARTEFACTS / f"report_{language}_{width}_{scheme}.png", full_page=True)
    printed = page.pdf(path=ARTEFACTS / f"report_{language}_printed.pdf", format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
    page.close()
