"""The pages of cohorts in a browser: on a usual screen no table is wider than the page."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from analysis.cohort.who import Characteristic, Flow, WhoWasIn
from analysis.evaluation.evaluate import evaluate
from analysis.evaluation.report import html_of
from tests.analysis.evaluation.test_evaluate import QUICK
from tests.analysis.synthetic_cohort import synthetic_table
from tests.patience import PATIENCE_S
from tests.peers import program

pytestmark = pytest.mark.peers

COLUMNS = (
    "all",
    *(f"{how} {what}" for what in ("osteoporosis", "abnormal bone density") for how in ("with", "without")),
)
LONGEST = (
    Characteristic("age, years", ("159.2 ± 13.1 (1 unknown)",) * 5),
    Characteristic("scanner HITACHI MEDICAL CORPORATION AIRIS II", ("9 (23 %)",) * 5),
)
WIDER = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth).length"


def test_no_table_is_wider_than_a_usual_screen(tmp_path: Path) -> None:
    page_file = tmp_path / "evaluation.html"
    who = WhoWasIn(Flow(40, 1, 0, 0, (), 2), COLUMNS, LONGEST, ())
    # KNN has a column for the paper; with age and sex, the names of sources are longest.
    found = evaluate(synthetic_table(), replace(QUICK, kinds=("KNN",), splits=2, age_and_sex=True))
    page_file.write_text(html_of(found, who=who), encoding="utf-8")
    executable = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(page_file.as_uri())
        assert page.evaluate(WIDER) == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
