"""Another birth date or sex is another person; a missing one, or another way to write it, is not."""

import pytest

from node.domain.completeness import identity_fault
from node.domain.person import Person, contradictions

SAME = [
    (("19400229", "M"), ("", "")),
    (("19400229", "M"), ("19400229", "")),
    (("19400229", "M"), ("", "M ")),
    (("19400229", "M"), ("1940.02.29", "m")),
    (("19400229", "F"), ("1940-02-29 ", "W")),
    (("19400229", "M"), ("00000000", "U")),
    (("19400229", "M"), ("1940", "male")),
    (("", ""), ("\0", "\0")),
]
DIFFERENT = [
    (("19400229", "M"), ("19850101", "M"), ("birth date",)),
    (("19400229", "M"), ("19400228", "M"), ("birth date",)),
    (("19400229", "M"), ("19400229", "F"), ("sex",)),
    (("19400229", "M"), ("19400229", "O"), ("sex",)),
    (("19400229", "M"), ("19850101", "F"), ("birth date", "sex")),
    (("19400229", "M"), ("unknown", "M"), ("birth date",)),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_person_may_be_written_in_several_ways(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert contradictions({Person.of(*one), Person.of(*other)}) == ()


@pytest.mark.parametrize(("one", "other", "told"), DIFFERENT)
def test_two_persons_differ_in_birth_date_or_sex(
    one: tuple[str, str], other: tuple[str, str], told: tuple[str, ...]
) -> None:
    # One that tells nothing joins nobody, and hides nothing.
    assert contradictions({Person.of(*one), Person(), Person.of(*other)}) == told
    fault = identity_fault({"key"}, {Person.of(*one), Person.of(*other)})
    assert fault.endswith("a person must decide")
    assert all(what in fault for what in told)
    assert "1940" not in fault


def test_two_patient_ids_are_told_before_anything_else() -> None:
    fault = identity_fault({"a", "b"}, {Person.of("1940", ""), Person.of("1985", "")})
    assert fault == "its images do not all bear one Patient ID of one issuer: a person must decide"
