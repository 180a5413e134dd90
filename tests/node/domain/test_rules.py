"""The language of rules: what a pattern takes, which rule decides, and what silence never does."""

from dataclasses import fields, replace
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from node.domain.facts import KEYWORDS, TAGS, Facts, facts_of, keywords_of
from node.domain.glob import covers, fold, matches
from node.domain.rules import (
    ATTRIBUTES,
    AgeRange,
    Rule,
    TextCondition,
    discards_everything,
    hidden_rules,
    judge,
)

TEXTS = st.text("ab[", max_size=5)
PATTERNS = st.text("ab[*?", min_size=1, max_size=6)
CONDITIONS = st.builds(
    TextCondition,
    st.sampled_from(["description", "series_description", "body_part"]),
    st.lists(PATTERNS, max_size=2).map(tuple),
    st.lists(PATTERNS, max_size=2).map(tuple),
).filter(lambda one: bool(one.wanted or one.unwanted))
AGES = st.builds(AgeRange, st.integers(0, 3), st.integers(2, 5))
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from("xyz"),
        st.booleans(),
        st.lists(CONDITIONS | AGES, max_size=3, unique_by=lambda one: one.attribute).map(tuple),
    ),
    max_size=4,
)
SAID = st.text("ab[", min_size=1, max_size=5)
OPTIONAL = st.none() | SAID
FACTS = st.builds(
    Facts,
    study_description=OPTIONAL,
    series_description=OPTIONAL,
    body_part=OPTIONAL,
    age_years=st.none() | st.integers(0, 5),
)
WHOLE = st.builds(
    Facts, study_description=SAID, series_description=SAID, body_part=SAID, age_years=st.integers(0, 5)
)


def takes(pattern: str, text: str) -> bool:
    """Tell whether a pattern takes a text, by its definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return takes(pattern[1:], text) or (bool(text) and takes(pattern, text[1:]))
    return bool(text) and pattern[0] in {"?", text[0]} and takes(pattern[1:], text[1:])


@given(PATTERNS, TEXTS)
def test_a_pattern_takes_what_its_definition_says(pattern: str, text: str) -> None:
    assert matches(pattern, text) is takes(pattern, text)


@given(PATTERNS, st.lists(st.tuples(st.sampled_from("ab["), TEXTS), min_size=6, max_size=6), PATTERNS)
def test_a_pattern_that_covers_another_takes_every_text_of_it(
    narrow: str, fillings: list[tuple[str, str]], wide: str
) -> None:
    pairs = zip(narrow, fillings, strict=False)
    text = "".join({"?": one, "*": some}.get(sign, sign) for sign, (one, some) in pairs)
    assert matches(narrow, text)
    # Most pairs have nothing to do with each other; this one is the more likely to.
    for one in (wide, f"*{narrow[1:]}", f"{narrow[:1]}*{narrow[-1:]}", "?" * narrow.count("a") + "*"):
        if covers(one, narrow):
            assert matches(one, text)


@given(PATTERNS)
def test_a_pattern_covers_itself_and_anything_covers_it(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("*", pattern)


@given(RULES, FACTS, st.sets(st.sampled_from([field.name for field in fields(Facts)])))
def test_what_a_header_leaves_out_never_discards(rules: list[Rule], facts: Facts, left_out: set[str]) -> None:
    if judge(rules, facts).take:
        nothing: dict[str, Any] = dict.fromkeys(left_out)
        assert judge(rules, replace(facts, **nothing)).take


@given(RULES, FACTS, WHOLE)
def test_a_hidden_rule_can_be_removed(rules: list[Rule], facts: Facts, whole: Facts) -> None:
    for hidden in hidden_rules(rules):
        others = [rule for rule in rules if rule is not hidden.rule]
        assert judge(others, whole).take is judge(rules, whole).take
        assert judge(rules, whole).rule is not hidden.rule
        if hidden.is_certain:
            assert judge(rules, facts).rule is not hidden.rule


@given(RULES, FACTS)
def test_nothing_is_taken_where_the_rules_are_said_to_discard_everything(
    rules: list[Rule], facts: Facts
) -> None:
    if discards_everything(rules) is not None:
        assert not judge(rules, facts).take


@given(RULES, FACTS)
def test_the_first_rule_that_applies_decides(rules: list[Rule], facts: Facts) -> None:
    verdict = judge(rules, facts)
    applying = [rule for rule in rules if rule.answer(facts) or (rule.take and rule.answer(facts) is None)]
    assert verdict.rule is (applying[0] if applying else None)
    assert verdict.take is (applying[0].take if applying else True)


def rule(name: str, *, take: bool, **patterns: tuple[str, ...]) -> Rule:
    return Rule(name, take, tuple(TextCondition(key, value) for key, value in patterns.items()))


def test_a_rule_that_others_hide_is_found_with_the_reason() -> None:
    rules = (
        rule("spine", take=True, description=("*spine*", "*lws*")),
        rule("lumbar", take=False, description=("*lumbar spine*",), modality=("mr",)),
        rule("mr", take=False, modality=("mr",)),
        rule("knee", take=True, modality=("mr",), body_part=("knee",)),
        Rule("nobody", take=False, conditions=(TextCondition("station", ("a",), ("?",)),)),
    )
    found = {one.rule.name: one for one in hidden_rules(rules)}
    assert set(found) == {"lumbar", "knee", "nobody"}
    assert (found["lumbar"].by, found["lumbar"].is_certain) == (rules[0], True)
    assert (found["knee"].by, found["knee"].is_certain) == (rules[2], False)
    assert found["nobody"].by is None


def test_a_missing_text_is_asked_for_by_the_empty_pattern() -> None:
    nameless = rule("nameless", take=False, body_part=("",))
    assert not judge([nameless], Facts()).take
    assert judge([nameless], Facts(body_part="head")).take
    there = Rule("there", take=False, conditions=(TextCondition("body_part", (), ("",)),))
    assert judge([there], Facts()).take
    assert not judge([there], Facts(body_part="head")).take


def test_unwanted_texts_are_unwanted_in_either_description() -> None:
    spine = Rule("x", take=False, conditions=(TextCondition("description", ("*spine*",), ("*lumbar*",)),))
    assert not judge([spine], Facts(study_description="c spine", series_description="t1")).take
    assert judge([spine], Facts(study_description="c spine", series_description="t1 lumbar")).take
    assert judge([spine], Facts(study_description="c spine")).take  # the other might say lumbar


@given(st.dates(date(1900, 1, 1)), st.dates(date(1900, 1, 1)))
def test_the_age_is_that_of_the_completed_years(born: date, examined: date) -> None:
    facts = facts_of({"PatientBirthDate": f"{born:%Y%m%d}", "StudyDate": f"{examined:%Y%m%d}"})
    if examined < born:
        assert facts.age_years is None
    else:
        birthdays = range(born.year + 1, examined.year + 1)
        passed = [year for year in birthdays if (year, born.month, born.day) <= examined.timetuple()[:3]]
        assert facts.age_years == len(passed)


def test_an_age_in_any_unit_counts_before_the_dates() -> None:
    dates = {"PatientBirthDate": "19500101", "StudyDate": "20200101"}
    ages = {"017Y": 17, "023M": 1, "024M": 2, "051W": 0, "053W": 1, "400D": 1, "17": 70, "": 70, "1A3Y": 70}
    assert {said: facts_of(dates | {"PatientAge": said}).age_years for said in ages} == ages


@given(
    st.dictionaries(st.sampled_from(sorted(KEYWORDS.values())), st.text(max_size=300)), st.text(max_size=20)
)
def test_any_header_has_facts(values: dict[str, str], source: str) -> None:
    facts = facts_of(values, source)
    for names in ATTRIBUTES.values():
        for name in names:
            text = getattr(facts, name)
            assert text is None or (text and fold(text) == text)
    assert facts.age_years is None or 0 <= facts.age_years < 10_000


@given(
    st.dictionaries(st.sampled_from(sorted(TAGS)), st.binary(max_size=80)),
    st.sampled_from([b"", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"GB18030", b"ISO 2022 IR 149\\", b"\xff"]),
)
def test_any_bytes_have_facts(raw: dict[int, bytes], character_set: bytes) -> None:
    assert facts_of(keywords_of((raw | {0x00080005: character_set}).items())).source is None


def test_a_value_that_is_longer_than_any_genuine_one_says_nothing() -> None:
    assert facts_of({"SeriesDescription": "brain" * 100}).series_description is None
