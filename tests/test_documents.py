"""The documents refer only to files that exist; the changelog may name older ones."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PLACES = ("*.md", "docs/**/*.md", "analysis/models/**/*.md")
DOCUMENTS = sorted(
    {path.relative_to(REPOSITORY).as_posix() for place in PLACES for path in REPOSITORY.glob(place)}
    - {"CHANGELOG.md"}
)
ROOTS = "analysis|dicom_templates|docs|node|tests"


def references(text: str) -> Iterator[str]:
    """Yield the targets of relative links, and the paths and modules of this repository in code spans."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            yield target
    for path in re.findall(rf"`((?:{ROOTS})/[\w./-]*)`", text):
        yield f"/{path}"
    for module in re.findall(rf"python -m ((?:{ROOTS})(?:\.\w+)+)", text):
        yield f"/{module.replace('.', '/')}.py"


def missing(document: Path, text: str) -> list[str]:
    """Return the references of a document to files that do not exist."""
    folders = {True: REPOSITORY, False: document.parent}
    return [
        reference
        for reference in references(text)
        if not (folders[reference.startswith("/")] / reference.lstrip("/")).exists()
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_exists(name: str) -> None:
    document = REPOSITORY / name
    assert missing(document, document.read_text(encoding="utf-8")) == []


def test_a_file_that_does_not_exist_is_noticed() -> None:
    text = "[a](README.md) [b](gone.md#part) `node/gone.py` `node/cli.py` python -m node.gone [c](https://x.org/y)"
    assert missing(REPOSITORY / "README.md", text) == ["gone.md", "/node/gone.py", "/node/gone.py"]
