"""Lists of accession numbers, as spreadsheets and other programs write them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.domain.archive import ArchiveQuery, FoundStudy
from node.errors import BusyError, PermanentError, TransientError
from node.operate.fetch import by_accession
from tests.node.fetch.scripted import ScriptedArchive


@dataclass(slots=True)
class Listening(ScriptedArchive):
    """Notes which numbers it is asked for, and refuses those with a wildcard."""

    asked: list[str] = field(default_factory=list)
    faults: list[TransientError] = field(default_factory=list)

    def find_studies(self, query: ArchiveQuery, most: int) -> Sequence[FoundStudy]:
        """See `node.ports.Archive`."""
        del most
        if self.faults:
            raise self.faults.pop(0)
        if "*" in query.accession_number:
            raise PermanentError("it is no number")
        self.asked.append(query.accession_number)
        return ()


@pytest.fixture
def archive() -> Listening:
    return Listening()


@pytest.mark.parametrize(
    "text",
    [
        "name,accession\nX,1\nY,2\n",
        "name;accession\nX;1\nY;2\n",
        "name;Accession Number;size\nX;1;1,5\nY;2;2,5\n",
        "name\taccession\r\nX\t1\r\nY\t2\r\n",
        '\ufeff"name, first";accession\n"A, B";1\n"C, D";2\n',
        "1\n2\n",
        "1;X\n2;Y\n",
        "accession\n1\n\n2\n1\n",
        "Accession No.; Name\n1 ; X\n2\xa0;Y\n",
        "Accession#,x\n1,\n  ,\n2,\n",
    ],
)
def test_numbers_are_found_however_the_cells_are_parted(
    archive: Listening, tmp_path: Path, text: str
) -> None:
    """A cell of another column would tell the archive of a patient, and find nothing."""
    file = tmp_path / "list.csv"
    file.write_text(text, encoding="utf-8", newline="")
    assert by_accession(archive, file).missing
    assert archive.asked == ["1", "2"]


def test_a_list_is_read_as_a_spreadsheet_saves_it(archive: Listening, tmp_path: Path) -> None:
    words = "Name;Accession\nMüller;1\nNuñez;2\n"
    for number, content in enumerate((words.encode("cp1252"), words.replace(";", "\t").encode("utf-16"))):
        file = tmp_path / f"{number}.csv"
        file.write_bytes(content)
        by_accession(archive, file)
    assert archive.asked == ["1", "2"] * 2
    (tmp_path / "list.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(PermanentError, match="save it as CSV"):
        by_accession(archive, tmp_path / "list.xlsx")
    (tmp_path / "rounded.csv").write_text('accession\n1\n"1,23457E+11"\n')
    with pytest.raises(PermanentError, match=r"line 3 of rounded.csv: a spreadsheet has rounded"):
        by_accession(archive, tmp_path / "rounded.csv")


def test_an_archive_that_is_away_for_a_moment_does_not_cost_the_whole_list(
    archive: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("node.operate.fetch.time.sleep", waits.append)
    archive.faults = [TransientError("it cannot be reached"), BusyError("it is asked too often", 30.0)]
    file = tmp_path / "list.csv"
    file.write_text("accession\n1\n2\n")
    by_accession(archive, file)
    assert (archive.asked, waits) == (["1", "2"], [1.0, 30.0])
    archive.faults = [TransientError("it cannot be reached")] * 9
    with pytest.raises(TransientError):
        by_accession(archive, file)


def test_a_number_that_cannot_be_asked_for_is_told_by_its_line(archive: Listening, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("accession\n1\n2*\n")
    with pytest.raises(PermanentError, match=r"line 3 of list.csv: it is no number"):
        by_accession(archive, file)
