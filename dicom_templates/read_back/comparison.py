"""Names each difference between two SR documents."""

from collections.abc import Iterator

from pydicom import DataElement, Dataset
from pydicom.valuerep import DSdecimal, DSfloat

__all__ = ["differences"]

_LONGEST = 60


def differences(document: Dataset, expected: Dataset) -> tuple[str, ...]:
    """Compare a document with what it should be.

    Parameters
    ----------
    document, expected : Dataset
        As read from files; their encoding does not matter.

    Returns
    -------
    tuple of str
        One line for each difference: "Imaging Measurements > Measurement Group 1 > Probability of
        osteoporosis: 61 instead of 12.5". Of what lies outside the content tree only the attribute is named,
        because its value may be the patient's. Empty if they are equal.
    """
    return tuple(_differences(document, expected, ()))


def _differences(document: Dataset, expected: Dataset, path: tuple[str, ...]) -> Iterator[str]:
    for tag in sorted({*document.keys(), *expected.keys()}):
        if tag not in document:
            yield f"{_at(path, expected[tag])} is missing"
            continue
        mine = document[tag]
        if tag not in expected:
            yield f"{_at(path, mine)} is added"
            continue
        wanted = expected[tag]
        if mine.VR == "SQ" and wanted.VR == "SQ":
            yield from _items(mine, wanted, path)
        elif _value(mine) != _value(wanted):
            # Values outside the content tree may be those of the patient, so they are not shown.
            told = f": {_told(mine)} instead of {_told(wanted)}" if path else " differs"
            yield f"{_at(path, mine)}{told}"


def _items(mine: DataElement, wanted: DataElement, path: tuple[str, ...]) -> Iterator[str]:
    if len(mine.value) != len(wanted.value):
        yield f"{_at(path, mine)} holds {len(mine.value)} items instead of {len(wanted.value)}"
        return
    for number, (one, other) in enumerate(zip(mine.value, wanted.value, strict=True), start=1):
        inner = (*path, _name(other, number)) if wanted.keyword == "ContentSequence" else path
        yield from _differences(one, other, inner)


def _name(item: Dataset, number: int) -> str:
    """Name a content item by its concept, and a measurement group by its tracking identifier too."""
    if "ConceptNameCodeSequence" not in item:
        return f"item {number}"
    name = str(item.ConceptNameCodeSequence[0].get("CodeMeaning", ""))
    children = item.get("ContentSequence", ())
    tracked = [str(child.TextValue) for child in children if _is_tracking(child)]
    return f"{name} {tracked[0]}" if tracked else name


def _is_tracking(item: Dataset) -> bool:
    name = item.get("ConceptNameCodeSequence")
    return bool(name) and name[0].get("CodeValue") == "112039" and "TextValue" in item


def _at(path: tuple[str, ...], element: DataElement) -> str:
    return " > ".join((*path, element.keyword or str(element.tag)))


def _value(element: DataElement) -> object:
    """Return the value of an element in a form that does not depend on its encoding."""
    return [_plain(one) for one in element.value] if element.VM > 1 else _plain(element.value)


def _plain(value: object) -> object:
    if isinstance(value, DSfloat | DSdecimal):
        return float(value)
    if isinstance(value, bytes | int | float):
        return value
    return "" if value is None else str(value).rstrip()


def _told(element: DataElement) -> str:
    words = str(element.value)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
