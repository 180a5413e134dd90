"""Another birth date or sex is another person; a missing one, or another way to write it, is not."""

from dataclasses import replace

import pytest

from node.domain.completeness import identity_fault
from node.domain.person import Patient, Person, contradictions, leave_out_issuer

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
    fault = identity_fault({"key"}, {Patient(person=Person.of(*both)) for both in (one, other)})
    assert fault.endswith("a person must decide")
    assert all(what in fault for what in told)
    assert "1940" not in fault


def test_two_patient_ids_are_told_before_anything_else() -> None:
    persons = (Person.of("1940", ""), Person.of("1985", ""))
    fault = identity_fault({"a", "b"}, {Patient(person=person) for person in persons})
    assert fault == "its images do not all bear one Patient ID of one issuer: a person must decide"


WHOLE = Patient("1", "HOSPITAL", "A^B", Person.of("19400229", "M"))
BARE = replace(WHOLE, issuer="")


@pytest.mark.parametrize(
    ("others", "is_one"),
    [
        ((), True),
        ((replace(BARE, person=Person.of("1940.02.29", "m")),), True),
        ((replace(BARE, name="A^B^^^ "),), True),
        ((replace(WHOLE, issuer="OTHER"),), False),
        ((replace(BARE, patient_id="2"),), False),
        ((replace(BARE, name="A^C"),), False),
        ((replace(BARE, name=""),), False),
        ((replace(BARE, person=Person.of("19400228", "M")),), False),
        ((replace(BARE, person=Person.of("19400229", "F")),), False),
        ((replace(BARE, person=Person.of("", "M")),), False),
        ((Patient(),), False),
    ],
)
def test_an_issuer_may_be_left_out_if_all_else_agrees(others: tuple[Patient, ...], *, is_one: bool) -> None:
    patients = {WHOLE, BARE, *others}
    assert leave_out_issuer(patients) is is_one
    assert bool(identity_fault({"with", "without"}, patients)) is not is_one


@pytest.mark.parametrize("unknown", [{"patient_id": ""}, {"name": ""}, {"person": Person.of("", "M")}])
def test_without_the_issuer_more_than_a_number_must_be_known(unknown: dict[str, object]) -> None:
    assert not leave_out_issuer({replace(one, **unknown) for one in (WHOLE, BARE)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        (("1940", "194002", "19400229", ""), ()),
        (("1940", "194002", "194003"), ("birth date",)),
        (("1940", "1941", "19400229"), ("birth date",)),
    ],
)
def test_each_date_agrees_with_the_most_exact_one(dates: tuple[str, ...], told: tuple[str, ...]) -> None:
    assert contradictions({Person(date) for date in dates}) == told
