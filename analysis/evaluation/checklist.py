"""TRIPOD+AI, CLEAR and METRICS as lists, filled with what the program knows, for the author to finish.

The items stand by number, with a topic in our own words; the published texts tell what each asks for.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from analysis.evaluation.page import page
from analysis.tables import write_table

__all__ = ["REFERENCES", "Item", "items", "write_checklists"]

REFERENCES = {
    "TRIPOD+AI": "Collins GS et al. BMJ 2024;385:e078378",
    "CLEAR": "Kocak B et al. Insights Imaging 2023;14:75",
    "METRICS": "Kocak B et al. Insights Imaging 2024;15:8",
}
"""Where the items of each list are published."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list.

    Attributes
    ----------
    guideline, number : str
        One of `REFERENCES`, and the number of the item in it.
    topic : str
        What it is about, in our words.
    fact : str
        The name of the fact that tells it; empty if only the author can.
    """

    guideline: str
    number: str
    topic: str
    fact: str


@cache
def items() -> tuple[Item, ...]:
    """Return the items of all lists, in their order."""
    text = files("analysis.evaluation").joinpath("checklists.csv").read_text(encoding="utf-8")
    return tuple(
        Item(row["guideline"], row["item"], row["topic"], row["fact"])
        for row in csv.DictReader(text.splitlines())
    )


def write_checklists(facts: Mapping[str, str], folder: Path, software: str = "") -> tuple[Path, ...]:
    """Write checklists.html and checklists.csv.

    Parameters
    ----------
    facts : mapping of str to str
        What is known, by the names in `Item.fact`; all others stay empty.
    folder : Path
        Target folder; created if missing.
    software : str
        Name and version of this program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = [(item, facts.get(item.fact, "")) for item in items()]
    lists = [
        (name, REFERENCES[name], list(part))
        for name, part in groupby(told, key=lambda pair: pair[0].guideline)
    ]
    html, table = folder / "checklists.html", folder / "checklists.csv"
    html.write_text(page("checklists.html.j2", lists=lists, software=software), encoding="utf-8")
    write_table(
        table,
        {
            "guideline": [item.guideline for item, _ in told],
            "item": [item.number for item, _ in told],
            "topic": [item.topic for item, _ in told],
            "told": [fact or None for _, fact in told],
            "by_the_author": [None] * len(told),
        },
    )
    return html, table
