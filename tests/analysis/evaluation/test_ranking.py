"""The features of a model are ranked by what held-out patients lose; a fold that lacks one loses nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from analysis.evaluation.ranking import Ranked, ranking, write_ranking
from analysis.learning.nested import Judged
from analysis.learning.train import HeldOut, Trained
from tests.analysis.synthetic_model import quick_model

pytestmark = pytest.mark.slow

NAMES = ("strong", "weak", "of one fold", "unread", "of the folds")


def held_out(key: tuple[object, str], names: tuple[str, ...], losses: list[list[float]]) -> HeldOut:
    empty, nobody = np.empty(0), np.empty(0, dtype=np.bool_)
    judged = Judged(empty, empty, np.empty((0, 2)), np.empty(0, dtype=np.intp), np.array(losses))
    return HeldOut(*key, (), nobody, judged, nobody, names)  # type: ignore[arg-type]


def test_a_fold_without_the_feature_counts_as_no_loss() -> None:
    (key, *_) = quick_model().classifiers
    lacks = np.nan
    losses = [[0.2, 0.01, lacks, lacks, 0.05], [0.1, -0.02, 0.08, lacks, 0.05]]
    found = ranking(held_out(key, NAMES, losses), ("strong", "weak", "of one fold"))
    assert [(row.feature, row.in_model, row.folds) for row in found] == [
        ("strong", True, 2),
        ("of the folds", False, 2),
        ("of one fold", True, 1),
        ("weak", True, 2),
    ]
    assert [row.loss for row in found] == pytest.approx([0.15, 0.05, 0.04, -0.005])
    assert found[2].sd == pytest.approx(np.std([0.0, 0.08], ddof=1))


def test_page_and_tables_tell_the_same_ranking(tmp_path: Path) -> None:
    model = quick_model()
    told = []
    for key, classifier in model.classifiers.items():
        names = (*classifier.features, "of <no> model")
        losses = [[0.01 * (number + fold) for number in range(len(names))] for fold in range(3)]
        told.append(held_out(key, names, losses))
    html, record, table = write_ranking(Trained(model, tuple(told)), tmp_path, "OsteoNode 1")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stored = json.loads(record.read_text(encoding="utf-8"))
    assert (stored["folds"], len(stored["features"])) == (3, len(rows))
    assert [row["feature"] for row in rows] == [row["feature"] for row in stored["features"]]
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in stored["features"]]
    assert list(rows[0]) == ["target", "sequence", *Ranked.__dataclass_fields__]
    page = html.read_text(encoding="utf-8")
    assert all(f"<td>{row['feature']}</td>" in page for row in rows if row["in_model"] == "1")
    assert "of &lt;no&gt; model" in page
    assert "<script" not in page
