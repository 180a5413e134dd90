"""All words of a report, view by view, as a reader finds them."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html import unescape
from unittest.mock import MagicMock, patch

import numpy as np
from pydicom import Dataset

from analysis.domain.findings import Findings
from dicom_templates.pictures.canvas import Canvas
from dicom_templates.pictures.html_report import page_html
from dicom_templates.pictures.mid_sagittal import SagittalPicture
from dicom_templates.pictures.png import png_of
from dicom_templates.pictures.summary_picture import draw_summary
from dicom_templates.result_kinds import ResultKind
from dicom_templates.result_set import ResultSet, build
from dicom_templates.words.study_report import StudyReport
from tests.dicom_templates.cases import Case, items, texts_of

PEOPLE = ("picture", "page", "text")
"""The views that people read; "SR", the measurement report, is read by programs."""


def report_html(report: StudyReport, pictures: Sequence[SagittalPicture]) -> str:
    """Return the page of a report with its summary picture; of a refusal, without pictures, alone."""
    return page_html(report, png_of(draw_summary(report, pictures)) if pictures else b"")


def report_words(report: StudyReport) -> str:
    """Return the page of a report with something in the place of its summary picture."""
    return page_html(report, b"picture")


@contextmanager
def only_written() -> Iterator[MagicMock]:
    """Note what is written on pictures, whose letters and images nobody looks at: they are left black."""
    black = np.zeros((48, 64, 3), dtype=np.uint8)
    with (
        patch.object(Canvas, "text", autospec=True) as written,
        patch.object(Canvas, "picture", autospec=True),
        patch.object(Canvas, "finish", autospec=True, return_value=black),
    ):
        yield written


def views_of(case: Case, findings: Findings | None = None, *, next_step: str = "") -> dict[str, str]:
    """Return the words of each view, with single spaces."""
    options = replace(case.options, kinds=frozenset(ResultKind) - {ResultKind.PDF}, next_step=next_step)
    with only_written() as drawn:
        made = build(findings or case.findings, case.sources, options)
    objects = named(made)
    page = re.sub(r"<style>.*?</style>|<img[^>]*>", " ", report_words(made.report), flags=re.DOTALL)
    told = {
        "picture": " ".join(str(call.args[2]) for call in drawn.call_args_list),
        "page": re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", page))),
        "text": " ".join(texts_of(objects["text"])),
        "SR": " ".join([*texts_of(objects["sr"]), *_meanings(objects["sr"])]),
        "list of series": " ".join(str(one.SeriesDescription) for one in objects.values()),
    }
    return {name: re.sub(r"\s+", " ", words) for name, words in told.items()}


def named(made: ResultSet) -> dict[str, Dataset]:
    """Return the objects by name."""
    return {one.name: one.dataset for one in made.objects}


def _meanings(document: Dataset) -> list[str]:
    return [str(one.ConceptCodeSequence[0].CodeMeaning) for one in items(document) if one.ValueType == "CODE"]
