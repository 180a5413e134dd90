"""Digests of what decides results differ wherever results could, and nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.app.decisive import decisive_parts
from node.config import Configuration, default, parse
from node.config.tables.models import DEMONSTRATION_MODEL


def parts(text: str = "", storage: str = "s") -> dict[str, str]:
    return dict(decisive_parts(parse(text), storage))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('[report]\nlanguage = "de"', "[report]"),
        ("[analysis]\nminimum_usable_levels = 2", "[analysis]"),
        ("[analysis.features]\nbin_count = 64", "[analysis]"),
        ("[segmentation]\nwhole_vertebrae = true", "[analysis]"),
        ("[segmentation]\ntime_limit_s = 10", "[segmentation]"),
        ('[models]\nbundle = "none"', "[models]"),
        ('[node]\nae_title = "OTHER"', "[node] ae_title"),
        ("[engine]\nattempts = 9", "[engine] attempts"),
    ],
)
def test_what_decides_results_is_told_apart(text: str, part: str) -> None:
    base, other = parts(), parts(text)
    assert {name for name in base if base[name] != other[name]} == {part}


def test_receivers_count_by_what_they_get_and_not_by_where_they_are() -> None:
    there = '[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\n'
    base = parts(f"{there}port = 104")
    assert parts(f"{there}port = 105") == base
    other = parts(f'{there}port = 104\nresults = ["sr"]')
    assert {name for name in base if base[name] != other[name]} == {"[[destinations]]"}


def test_what_a_machine_may_have_of_its_own_does_not_count() -> None:
    engine = "[engine]\nprocesses = 4\nmemory_limit_mb = 4096\ntime_limit_s = 9\n"
    assert parts(f'{engine}[web]\nport = 0\n[log]\nlevel = "debug"') == parts()


def test_a_program_that_a_machine_lacks_or_has_in_another_version_is_told(tmp_path: Path) -> None:
    program = tmp_path / "totalspineseg"
    text = f'[segmentation]\nbackend = "totalspineseg"\nexecutable = "{program}"'
    lacks = parts(text)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    has = parts(text)
    asked = tmp_path / "python"
    asked.write_text("#!/bin/sh\necho 2.0\n")
    asked.chmod(0o700)
    program.write_text(f"#!{asked}\n")
    later = parts(text)
    for one, other in ((lacks, has), (has, later)):
        assert {name for name in one if one[name] != other[name]} == {"[segmentation]"}


def test_a_folder_of_masks_that_a_machine_lacks_is_told(tmp_path: Path) -> None:
    text = f'[segmentation]\nbackend = "masks"\nmasks = "{tmp_path / "masks"}"'
    lacks = parts(text)
    (tmp_path / "masks").mkdir()
    assert {name for name in lacks if lacks[name] != parts(text)[name]} == {"[segmentation]"}


def test_another_storage_is_told() -> None:
    base, other = parts(), parts(storage="t")
    assert {name for name in base if base[name] != other[name]} == {"[storage]"}


def test_a_model_counts_by_its_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in DEMONSTRATION_MODEL.iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    base = parts()
    assert of_bundle(tmp_path / "one") == base
    (tmp_path / "two" / "card.json").write_text("{}")
    assert of_bundle(tmp_path / "two")["[models]"] != base["[models]"]


def of_bundle(bundle: Path) -> dict[str, str]:
    settings: Configuration = default()
    settings = replace(parse(""), models=replace(settings.models, bundle=bundle))
    return dict(decisive_parts(settings, "s"))
