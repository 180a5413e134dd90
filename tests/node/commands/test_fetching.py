"""`osteonode fetch` orders studies of a real archive, and tells what became of each."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from node.cli import application
from node.config import load
from node.domain.study import StudyState
from tests.node.nodes import quick_node, send, slice_of, state_of
from tests.node.storages import Storage
from tests.patience import wait_until
from tests.peers import Orthanc
from tests.schemas import strict

ROOT = "1.2.826.0.1.88"
GOOD, LOCALISER, OLD = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Run an archive with a pair, a localiser alone, and a pair of 2019."""
    folder = tmp_path_factory.mktemp("archive")
    with Orthanc(folder, {"DicomAlwaysAllowGet": True}) as archive:
        for study, day, series in (
            (GOOD, "20260105", {"1": "LWS t1 sag", "2": "LWS t2 sag"}),
            (LOCALISER, "20260105", {"1": "localizer"}),
            (OLD, "20190105", {"1": "LWS t1 sag", "2": "LWS t2 sag"}),
        ):
            for number, words in series.items():
                image = slice_of(1, study=study, series=number)
                image.SeriesDescription, image.StudyDate = words, day
                image.AccessionNumber = f"PLANTED-{study[-1]}"
                send(archive.dicom_port, image, called="ORTHANC")
        yield archive


@pytest.fixture
def asking(storage: Storage, orthanc: Orthanc) -> Storage:
    """Return a storage whose configuration names the archive."""
    storage.configure()
    ask(storage, "old", orthanc.dicom_port)
    return storage


def ask(storage: Storage, name: str, port: int) -> None:
    """Add an archive to the configuration."""
    archive = (
        f'[[archives]]\nname = "{name}"\nmethod = "get"\nae_title = "ORTHANC"\n'
        f'host = "127.0.0.1"\nport = {port}\n'
    )
    storage.config.write_text(storage.config.read_text() + archive)


def told(result: Result, status: int = 0) -> list[Any]:
    """Return the orders that a command printed as JSON, if they are as the schema says."""
    assert result.exit_code == status, result.output
    found = json.loads(result.stdout)
    strict("fetch").validate(found)
    return list(found)


@pytest.mark.peers
def test_without_a_node_studies_are_counted_noted_paused_and_cancelled(asking: Storage) -> None:
    planned = asking.run("fetch", "--dates", "2018-01-01..2026-12-31", "--dry-run")
    assert planned.exit_code == 0
    assert "3 studies were found" in planned.stdout
    assert "stay here, as the studies are old" in " ".join(planned.stdout.split())
    assert told(asking.run("fetch", "--json")) == []
    ordered = asking.run("fetch", "--dates", "2026-01-05..2026-01-05", "--json")
    assert "No node is running" in ordered.stderr
    (order,) = told(ordered)
    assert {one["study_uid"]: one["outcome"] for one in order["studies"]} == {
        GOOD: "under way",
        LOCALISER: "under way",
    }
    why = asking.run("why", GOOD)
    assert "is to be fetched from old, and waits for its turn" in " ".join(why.stdout.split())
    (again,) = told(asking.run("fetch", "--study", GOOD, "--json"))
    assert (again["found"], again["asked_for_before"], again["studies"]) == (1, 1, [])
    (paused,) = told(asking.run("fetch", "--pause", "--json"))
    assert (paused["batch"], paused["paused"]) == (order["batch"], True)
    assert not told(asking.run("fetch", "--resume", "--json"))[0]["paused"]
    told(asking.run("fetch", "--cancel", "--batch", order["batch"], "--json"))
    (cancelled,) = told(asking.run("fetch", "--batch", order["batch"], "--json"))
    assert [(one["outcome"], one["count"]) for one in cancelled["outcomes"]] == [("cancelled", 2)]


@pytest.mark.peers
def test_a_list_is_fetched_and_the_table_tells_what_became_of_each(asking: Storage, tmp_path: Path) -> None:
    numbers = tmp_path / "list.csv"
    numbers.write_text("name,accession\nx,PLANTED-1\nx,PLANTED-2\nx,PLANTED-9\nx,PLANTED-1\n")
    configuration = load(asking.config)
    asking.store.close()
    quick = replace(
        configuration,
        node=replace(configuration.node, port=0),
        web=replace(configuration.web, port=0),
        storage=replace(configuration.storage, watermark_mb=0),
        assembly=replace(configuration.assembly, quiet_s=0.2, max_wait_s=0.5, start_early=False),
    )
    with quick_node(quick, examine="examine_by_series") as node:
        table = asking.run("fetch", "--accession", str(numbers))
        assert table.exit_code == 4, table.output
        rows = {tuple(line.split("\t")[:2]) for line in table.stdout.splitlines()}
        assert {("analysed", "1"), ("not for us", "1"), ("not found", "1")} <= rows
        assert "the archive has no MR study of: line 4" in table.stdout
        assert "PLANTED" not in table.output
        assert state_of(node, GOOD) is StudyState.DELIVERED
        assert state_of(node, LOCALISER) is None, "not an image of it was asked for"
        assert "analysed\t1" in asking.run("fetch", "--study", OLD, "--urgent").stdout
        wait_until(lambda: state_of(node, OLD) is StudyState.DELIVERED)


@pytest.mark.parametrize(
    "words",
    [
        ["--study", GOOD, "--dates", "2024-01-01..2024-01-02"],
        ["--pause", "--resume"],
        ["--cancel"],
        ["--dates", "2024-01-02..2024-01-01"],
        ["--dates", "January"],
    ],
)
def test_what_contradicts_itself_is_wrong_usage(storage: Storage, words: list[str]) -> None:
    assert storage.run("fetch", *words).exit_code == 2


def test_an_archive_that_is_not_there_or_not_configured_is_a_fault(storage: Storage) -> None:
    assert "no archive is configured" in storage.run("fetch", "--study", GOOD).stderr
    ask(storage, "a", 1)
    refused = storage.run("fetch", "--study", GOOD)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Fault: ")
    assert (
        "no archive is called b; there are: a" in storage.run("fetch", "--study", GOOD, "--from", "b").stderr
    )


def test_a_list_that_names_nothing_is_a_fault(storage: Storage, tmp_path: Path) -> None:
    ask(storage, "a", 1)
    empty = tmp_path / "empty.csv"
    empty.write_text("accession\n\n")
    assert "names no accession number" in storage.run("fetch", "--accession", str(empty)).stderr
    assert CliRunner().invoke(application, ["fetch", "--help"]).exit_code == 0
