"""Rules are tried on files as they judge what is received, and `doctor` finds those that cannot apply."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.config import AssemblySettings, parse
from node.domain.facts import KEYWORDS, facts_of, keywords_of
from node.domain.header import read_identity
from node.domain.rules import Rule
from node.operate.doctor import Severity, rules
from node.operate.rule_trial import try_rules
from tests.node.nodes import encode, quick, quick_node, send, slice_of

LUMBAR_ONLY = """
[[rules]]
name = "no MR"
take = false
modality = "!MR"
[[rules]]
name = "children"
take = false
age_below = 18
[[rules]]
name = "lumbar"
take = true
description = ["*lumbar*", "*wirbel[säule]*"]
[[rules]]
name = "rest"
take = false
"""
SERIES = {
    "1": {"SeriesDescription": "T1 Lumbar", "StudyDescription": "x"},
    "2": {"SeriesDescription": "T1 Brain", "StudyDescription": "x"},
    "3": {"SeriesDescription": "T1 LUMBAR", "StudyDescription": "x", "PatientAge": "012Y"},
    "4": {"Modality": "CT", "PatientAge": "050Y", "StudyDescription": "lumbar"},
    "5": {"StudyDescription": ""},
    "6": {"SeriesDescription": "Wirbel[Säule]", "SpecificCharacterSet": "ISO_IR 192", "PatientAge": "050Y"},
}


def parsed(text: str) -> tuple[Rule, ...]:
    return parse(text).rules


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two images of each series, and a file that is no DICOM."""
    made = tmp_path_factory.mktemp("files")
    for series, values in SERIES.items():
        for number in (1, 2):
            image = slice_of(number, series=series)
            for keyword, value in values.items():
                setattr(image, keyword, value)
            image.save_as(made / f"{series}-{number}.dcm", enforce_file_format=True)
    (made / "README.txt").write_text("Not DICOM.")
    return made


def test_every_series_is_told_with_its_rule_and_why(folder: Path) -> None:
    trial = try_rules(parsed(LUMBAR_ONLY), [folder])
    found = {one.series_uid.rpartition(".")[2]: one for one in trial.series}
    assert {name: one.verdict.take for name, one in found.items()} == {
        "1": True, "2": False, "3": False, "4": False, "5": True, "6": True,
    }  # fmt: skip
    assert all(one.images == 2 for one in trial.series)
    assert trial.unreadable == 1
    silent = 'rule "children" does not apply, because the header lacks age'
    assert found["1"].why == f'rule "lumbar": description is x / t1 lumbar; {silent}'
    assert found["2"].why == f'rule "rest" applies to every series; {silent}'
    assert found["3"].why == 'rule "children": age is 12 years'
    assert found["4"].why == 'rule "no MR": modality is ct'
    assert found["5"].why == f'rule "lumbar" may apply: the header lacks description; {silent}'


def test_the_node_takes_what_the_tester_said(folder: Path, tmp_path: Path) -> None:
    base = quick(tmp_path, assembly=AssemblySettings(quiet_s=3600))
    said = try_rules(parsed(LUMBAR_ONLY), [folder], "SENDER")
    with quick_node(replace(base, rules=parsed(LUMBAR_ONLY))) as node:
        images = [slice_of(1, series=series) for series in SERIES]
        for image, values in zip(images, SERIES.values(), strict=True):
            for keyword, value in values.items():
                setattr(image, keyword, value)
        assert send(node.port, *images) == [0] * len(images)
        kept = {one.series_uid for one in node.store.instances(images[0].StudyInstanceUID)}
    assert kept == {one.series_uid for one in said.series if one.verdict.take}


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=str
)
def test_the_facts_are_read_in_every_encoding(syntax: str) -> None:
    image = slice_of(1)
    values = {keyword: f"{number}Ü" for number, keyword in enumerate(KEYWORDS.values())}
    values |= {
        "StudyDate": "20200101",
        "PatientBirthDate": "19900101",
        "PatientAge": "030Y",
        "Modality": "MR",
    }
    values |= {"BodyPartExamined": "LSPINE"}
    image.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in values.items():
        setattr(image, keyword, value)
    identity = read_identity(encode(image, syntax), syntax, with_facts=True)
    assert facts_of(keywords_of(identity.raw_facts)) == facts_of(values)
    assert not read_identity(encode(image, syntax), syntax).raw_facts


def found_by_doctor(text: str) -> list[tuple[Severity, str]]:
    configuration = replace(parse(""), rules=parsed(text))
    return [(one.severity, f"{one.subject}: {one.message}") for one in rules(configuration)]


def worded(*lines: str) -> str:
    return "".join(f'[[rules]]\nname = "{number}"\n{line}\n' for number, line in enumerate(lines, start=1))


def test_doctor_finds_the_rules_that_cannot_apply() -> None:
    assert found_by_doctor("") == [(Severity.GOOD, "rules: none: all that arrives is taken")]
    assert found_by_doctor(LUMBAR_ONLY) == [(Severity.GOOD, "rules: each of the 4 can apply")]
    hidden = worded(
        'take = false\nmodality = "MR"',
        'take = false\nmodality = "mr"\nage_below = 10',
        'take = true\nmodality = "MR"\ndescription = "*lumbar*"',
    )
    told = found_by_doctor(hidden)
    assert [severity for severity, _ in told] == [Severity.WARNING] * 2
    assert told[0][1] == 'rule 2: it can never apply: rule "1" above it decides about all of its series'
    assert told[1][1].startswith("rule 3: it applies only where a header lacks")
    (everything,) = found_by_doctor(worded("take = false"))
    assert "it discards everything" in everything[1]
