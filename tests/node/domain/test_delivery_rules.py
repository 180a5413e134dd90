import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domain.delivery import (
    DeliveryEnd,
    DeliveryState,
    Disposition,
    how_deliveries_ended,
    judge_status,
)
from node.domain.study import StudyEvent


@pytest.mark.parametrize(
    ("status", "disposition"),
    [
        (0x0000, Disposition.ACCEPTED),
        (0xB000, Disposition.ACCEPTED),
        (0xB006, Disposition.ACCEPTED),
        (0xB007, Disposition.ACCEPTED),
        (0xA700, Disposition.RETRY),
        (0xA702, Disposition.RETRY),
        (0xA900, Disposition.GIVE_UP),
        (0xC000, Disposition.RETRY_A_FEW_TIMES),
        (0xCFFF, Disposition.RETRY_A_FEW_TIMES),
        (0x0122, Disposition.NOT_ACCEPTED),
        (0x0124, Disposition.GIVE_UP),
    ],
)
def test_a_status_of_the_standard_means_what_the_standard_says(status: int, disposition: Disposition) -> None:
    assert judge_status(status) is disposition


@given(st.integers(0, 0xFFFF))
def test_every_status_has_a_meaning_and_only_success_and_warnings_are_accepted(status: int) -> None:
    accepted = judge_status(status) is Disposition.ACCEPTED
    assert accepted == (status in {0x0000, 0x0001, 0x0107, 0x0111, 0x0116} or status >> 8 == 0xB0)


SENT = DeliveryEnd(DeliveryState.SENT, "pacs", "")
UNWANTED = DeliveryEnd(DeliveryState.NOT_ACCEPTED, "pacs", "it takes none of this kind")
FAILED = DeliveryEnd(DeliveryState.FAILED, "archive", "it answered 0xA900")


@pytest.mark.parametrize(
    ("ends", "event", "reason"),
    [
        ([], StudyEvent.DELIVERY_ENDED, ""),
        ([SENT, SENT], StudyEvent.DELIVERY_ENDED, ""),
        (
            [SENT, UNWANTED],
            StudyEvent.DELIVERY_ENDED,
            "1 of 2 deliveries were of a kind the destination does not take",
        ),
        ([UNWANTED, UNWANTED], StudyEvent.GAVE_UP, "pacs accepts none of these results"),
        ([SENT, FAILED, FAILED], StudyEvent.GAVE_UP, "archive: it answered 0xA900"),
        ([UNWANTED, FAILED], StudyEvent.GAVE_UP, "archive: it answered 0xA900"),
    ],
)
def test_a_study_is_delivered_once_every_destination_has_what_it_takes(
    ends: list[DeliveryEnd], event: StudyEvent, reason: str
) -> None:
    assert how_deliveries_ended(ends) == (event, reason)
