"""A reason that was stored says the same when it is read, in every language."""

import numpy as np
import pytest

from analysis.domain.acquisition import Contrast, Plane
from analysis.domain.findings import Target
from analysis.domain.reason import Reason, quoted
from dicom_templates.words.languages import LANGUAGES
from dicom_templates.words.texts import Texts
from node.store.reasons import ENUMERATIONS, reasons_of, text_of
from tests.dicom_templates.words import test_reasons

REASONS = (
    quoted('another program\'s "words", ä and \0'),
    Reason("few_above_sacrum", count=np.int64(2)),  # type: ignore[arg-type]
    Reason("size_of_a_head", width_mm=np.float32(160.5), length_mm=200.25),  # type: ignore[arg-type]
    Reason("plane_by_orientation", plane=Plane.CORONAL),
    Reason(
        "of_contrast",
        contrast=Contrast.T1,
        fault=Reason("slice_missing", from_mm=4.0, to_mm=12.5, spacing_mm=4.0),
    ),
    Reason("too_few_bodies", usable=2, minimum=3, why=(Reason("sacrum_not_found"), quoted("and more"))),
    Reason("both_answers", confidence=0.8, estimate=0.125, threshold=0.4),
)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code)
def test_a_reason_says_the_same_after_it_was_stored(reason: Reason, language: str) -> None:
    (again,) = reasons_of(text_of([reason]))
    assert again == reason
    assert Texts(language).reason(again) == Texts(language).reason(reason)


def test_every_enumeration_that_has_words_can_be_stored() -> None:
    assert set(ENUMERATIONS.values()) == set(test_reasons.ENUMERATIONS) == {Contrast, Plane, Target}


def test_a_reason_that_is_not_known_any_more_is_quoted() -> None:
    written = text_of([Reason("few_above_sacrum", count=2)]).replace("few_above_sacrum", "forgotten")
    (again,) = reasons_of(written)
    assert again.code == "quoted"
    assert again == "only 2 bodies were found above the sacrum"
