"""Results of the identification of 297 real headers of public repositories, by class and by vendor.

Run ``uv run python -m tests.benchmarks.bench_identify``; it takes a second. The labels are manual
(tests/analysis/mr_headers_labelled.csv). For a true T1 or T2 the answer "unsure" is a miss, and any other
class an error; for every other series T1 or T2 is an error. Most of these series show heads; the last column
counts those that may be analysed, sagittal T1 and T2 that may be lumbar. The rules were written with this
table at hand, so the figures do not estimate the performance on new headers.
"""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from analysis.domain.acquisition import Contrast, Identification, Plane
from analysis.identify import identify
from tests.analysis.labelled_headers import WEIGHTED, labelled_headers, stripped

Answer = tuple[dict[str, str], Identification]

_VENDORS = {"siemens": "Siemens", "ge": "GE", "philips": "Philips", "toshiba": "Canon", "canon": "Canon"}
_VENDORS |= {"uih": "United Imaging", "hitachi": "Hitachi"}
"""Vendors by the first word of Manufacturer, which is written in many ways."""


_FIGURES = (
    "true T1 or T2",
    "found",
    "unsure",
    "taken for the other",
    "others taken for T1 or T2",
    "to be analysed",
    "of these accepted",
    "accepted wrongly",
)


def main() -> None:
    """Print the confusion matrix, and the results for each vendor."""
    headers = labelled_headers()
    answers = [(row, identify(facts)) for row, facts in headers]
    console = Console()
    console.print(by_class(answers, "Answers by class"))
    console.print(by_vendor(answers))
    bare = [(row, identify(stripped(facts))) for row, facts in headers]
    console.print(
        by_class(bare, "Answers by class, of headers stripped to description, orientation and size")
    )


def by_class(answers: Iterable[Answer], title: str) -> Table:
    """Format the confusion matrix: true classes in rows, answers in columns."""
    counts = Counter((row["contrast"], found.contrast.value) for row, found in answers)
    true, given = (
        [kind.value for kind in Contrast if any(kind == pair[at] for pair in counts)] for at in (0, 1)
    )
    table = Table("labelled", "series", *given, title=title)
    for kind in true:
        own = [counts[kind, answer] for answer in given]
        table.add_row(kind, str(sum(own)), *(str(count or "") for count in own))
    return table


def by_vendor(answers: Iterable[Answer]) -> Table:
    """Format the results, one vendor per row."""
    vendors: dict[str, list[Answer]] = {}
    for row, found in answers:
        first = row["vendor"].lower().replace("_", " ").split()[:1]
        vendors.setdefault(_VENDORS.get("".join(first), "others, or none told"), []).append((row, found))
    table = Table("vendor", "series", *_FIGURES, title="T1 and T2 by vendor")
    for name, own in sorted(vendors.items(), key=lambda item: -len(item[1])):
        table.add_row(name, *map(str, _figures(own)))
    table.add_row("all", *map(str, _figures([answer for own in vendors.values() for answer in own])))
    return table


def _figures(answers: list[Answer]) -> tuple[int, ...]:
    true = [(row["contrast"], found.contrast) for row, found in answers if row["contrast"] in WEIGHTED]
    others = [found.contrast for row, found in answers if row["contrast"] not in WEIGHTED]
    accepted = [(_wanted(row), found.usable) for row, found in answers]
    return (
        len(answers),
        len(true),
        sum(label == answer for label, answer in true),
        sum(answer is Contrast.UNSURE for _, answer in true),
        sum(answer in WEIGHTED and label != answer for label, answer in true),
        sum(answer in WEIGHTED for answer in others),
        sum(wanted for wanted, _ in accepted),
        sum(wanted and usable for wanted, usable in accepted),
        sum(usable and not wanted for wanted, usable in accepted),
    )


def _wanted(row: dict[str, str]) -> bool:
    return row["contrast"] in WEIGHTED and row["plane"] == Plane.SAGITTAL and row["lumbar"] != "no"


if __name__ == "__main__":
    main()
