"""Which series of a study are fetched."""

import pytest

from analysis.domain.acquisition import AcquisitionFacts
from node.config import LookFor, parse
from node.domain.archive import FoundSeries
from node.fetch.judge import judge

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def series(uid: str, description: str = "", **facts: object) -> FoundSeries:
    given = {"station": str(facts.pop("station", ""))}
    return FoundSeries("1.1", uid, AcquisitionFacts(series_description=description, **facts), **given)  # type: ignore[arg-type]


def unread(one: FoundSeries) -> AcquisitionFacts:
    """Return what most archives add: nothing."""
    return one.facts


@pytest.mark.parametrize(
    ("description", "facts", "is_wanted"),
    [
        ("LWS t1 sag", {}, True),
        ("t2_tse_sag", {"body_part": "LSPINE"}, True),
        ("", {}, True),
        ("Serie 4", {}, True),
        ("sag", {}, True),
        ("localizer", {}, False),
        ("3-plane scout", {}, False),
        ("t2_tse_tra", {}, False),
        ("t2 tirm sag fs", {}, False),
        ("t2 sag HWS", {}, False),
        ("Knie pd sag", {}, False),
        ("LWS t1 sag", {"modality": "CT"}, False),
        ("LWS t1 sag", {"modality": ""}, True),
    ],
)
def test_what_its_words_do_not_exclude_is_fetched(description: str, facts: dict, is_wanted: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001
    found = judge([series("1", description, **facts)], unread)
    assert bool(found.wanted) is is_wanted
    assert bool(found.reason) is not is_wanted


def test_the_header_of_an_image_decides_only_what_words_leave_open() -> None:
    asked = []

    def read(one: FoundSeries) -> AcquisitionFacts:
        asked.append(one.series_uid)
        axial = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        return AcquisitionFacts(orientation=SAGITTAL if one.series_uid == "3" else axial)

    three = [series("1", "LWS t1 sag"), series("2", "Serie 4"), series("3", "Serie 5"), series("4", "scout")]
    found = judge(three, read)
    assert [one.series_uid for one in found.wanted] == ["1", "3"]
    assert asked == ["2", "3"]


def test_the_clock_compares_station_and_body_part_where_the_archive_tells_them() -> None:
    look_for = LookFor(station="MR3*", body_part="*SPINE*")
    five = [
        series("1", station="mr3a", body_part="LSPINE"),
        series("5", station="MR3[b]"),
        series("2"),
        series("3", station="MR1"),
        series("4", body_part="KNEE"),
    ]
    assert [one.series_uid for one in judge(five, unread, look_for).wanted] == ["1", "5", "2"]
    assert len(judge([series("5", station="MR3[b]")], unread, LookFor(station="mr3[b]")).wanted) == 1
    nothing = judge(five[3:], unread, look_for)
    assert nothing.reason == (
        "none of its 2 series can be analysed: 1 because another body part is looked for; "
        "1 because another station is looked for"
    )


def test_what_the_rules_would_discard_is_not_fetched() -> None:
    rules = parse(
        '[[rules]]\nname = "children"\ntake = false\nage_below = 18\n'
        '[[rules]]\nname = "bedside"\ntake = false\nsource = "PACS"\nstation = "MR9"\n'
        '[[rules]]\nname = "maker"\ntake = false\nmanufacturer = "ACME*"\nmodel = "!Nova"\n'
    ).rules
    three = [series("1", station="MR9"), series("2", station="MR1"), series("3")]
    found = judge(three, unread, rules=rules, source="PACS")
    assert [one.series_uid for one in found.wanted] == ["2", "3"]
    assert judge(three, unread, rules=rules, source="ANOTHER").wanted == tuple(three)
    told = [
        FoundSeries("1", uid, AcquisitionFacts(vendor="Acme Ltd", model=model))
        for uid, model in (("4", "Old"), ("5", "Nova"), ("6", ""))
    ]
    assert [one.series_uid for one in judge(told, unread, rules=rules).wanted] == ["5", "6"]
    assert "the rule bedside discards it" in judge(three[:1], unread, rules=rules, source="PACS").reason


def test_what_an_archive_does_not_tell_may_be_in_the_header() -> None:
    """A rule about missing texts is for headers: most archives tell no body part at all."""
    without = '[[rules]]\nname = "nameless"\ntake = false\nbody_part = ""\n'
    others = (
        '[[rules]]\nname = "named"\ntake = true\nbody_part = "!"\n[[rules]]\nname = "rest"\ntake = false\n'
    )
    one = series("1", "LWS t1 sag")
    for text in (without, others):
        assert judge([one], unread, rules=parse(text).rules).wanted == (one,)
