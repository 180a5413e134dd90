"""A midline slice made of rectangles: five bodies, discs, canal, arches and sacrum."""

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from analysis.segment.training.truth import BACKGROUND, BODY, CANAL, DISC, POSTERIOR, SACRUM

Labels = npt.NDArray[np.uint8]

ROWS, COLUMNS = 330, 200
_HEIGHT, _STEP = 36, 48
_GREY = {BACKGROUND: 40, BODY: 150, SACRUM: 140, DISC: 90, CANAL: 60, POSTERIOR: 120}


def rows_of(number: int) -> slice:
    """Rows of body `number`, 0 for L1 to 5 for S1."""
    return slice(20 + number * _STEP, 20 + number * _STEP + _HEIGHT)


def levels() -> Labels:
    """1 to 5 for L1 to L5 and 6 for S1, as BackSpine has it."""
    marks = np.zeros((ROWS, COLUMNS), np.uint8)
    for number in range(6):
        marks[rows_of(number), 60:110] = number + 1
    return marks


def classes() -> Labels:
    """Classes of the network for every pixel."""
    named = levels()
    marks = np.where(named == 6, SACRUM, np.where(named > 0, BODY, BACKGROUND)).astype(np.uint8)
    for number in range(5):
        marks[rows_of(number).stop : rows_of(number + 1).start, 60:110] = DISC
        marks[rows_of(number).start + 8 : rows_of(number).stop, 132:165] = POSTERIOR
    marks[:, 114:130] = CANAL
    return marks


def vertebrae() -> Labels:
    """1 vertebra with its arch, 2 disc, 3 canal, as SPIDER has it: no sacrum."""
    marks = np.zeros((ROWS, COLUMNS), np.uint8)
    for number in range(5):
        marks[rows_of(number), 60:110] = 1
        marks[rows_of(number).start + 8 : rows_of(number).stop, 132:165] = 1
        marks[rows_of(number).stop + 1 : rows_of(number + 1).start - 1, 60:110] = 2
    marks[:, 114:130] = 3
    return marks


def image(labels: Labels, seed: int = 0) -> Labels:
    """Grey values by class, with noise."""
    table = np.zeros(256, np.float64)
    for label, grey in _GREY.items():
        table[label] = grey
    noise = np.random.default_rng(seed).normal(0, 4, labels.shape)
    return np.clip(table[labels] + noise, 0, 255).astype(np.uint8)


def write_data(folder: Path) -> None:
    """Write a folder of training data: two BackSpine and six SPIDER patients."""
    rows = [
        *({"set": "backspine", "name": f"T1_{n}_S8", "patient": f"T1_{n}", "split": split}
          for n, split in ((1, "train"), (2, "test"))),
        *({"set": "spider_t2space", "name": f"{n}_{k}", "patient": f"spider_{n}", "split": "train"}
          for n in range(6) for k in (10, 9)),
    ]  # fmt: skip
    for row in rows:
        labels = levels() if row["set"] == "backspine" else vertebrae()
        for kind, array, suffix in (("images", image(classes()), ".jpg"), ("labels", labels, ".png")):
            target = folder / row["set"] / kind
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(target / (row["name"] + suffix))
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["set", "name", "patient", "split"])
        writer.writeheader()
        writer.writerows(rows)
