"""The features of a trained model, ranked by the AUC that held-out patients lose without each of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.evaluation.curves import style, svg
from analysis.evaluation.page import embedded, page
from analysis.learning.permutation import REPEATS
from analysis.learning.train import HeldOut, Trained
from analysis.tables import write_table

__all__ = ["Ranked", "ranking", "write_ranking"]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A feature that the model, or a fold of its cross-validation, reads.

    Attributes
    ----------
    feature : str
        Its name.
    in_model : bool
        Whether the trained model reads it; otherwise only folds do.
    folds : int
        Number of folds whose classifier reads it.
    loss, sd : float
        AUC that is lost when it is shuffled among held-out patients: mean and standard deviation over the
        folds, with 0 for a fold that does not read it.
    """

    feature: str
    in_model: bool
    folds: int
    loss: float
    sd: float


def ranking(one: HeldOut, read: Sequence[str]) -> tuple[Ranked, ...]:
    """Rank the features of a classifier, the largest loss first.

    Parameters
    ----------
    one : HeldOut
        Its nested cross-validation.
    read : sequence of str
        The features that the classifier of the model reads.
    """
    losses = np.nan_to_num(one.judged.losses)
    folds = np.isfinite(one.judged.losses).sum(axis=0)
    found = [
        Ranked(name, name in read, int(folds[column]), float(loss), float(sd))
        for column, (name, loss, sd) in enumerate(
            zip(one.features, losses.mean(axis=0), losses.std(axis=0, ddof=1), strict=True)
        )
        if name in read or folds[column]
    ]
    return tuple(sorted(found, key=lambda row: (-row.loss, row.feature)))


def write_ranking(trained: Trained, folder: Path, software: str = "") -> tuple[Path, ...]:
    """Write ranking.html, ranking.json and ranking.csv, which hold no identifier of a patient.

    Parameters
    ----------
    trained : Trained
        The model and its nested cross-validation.
    folder : Path
        Target folder; created if missing.
    software : str
        Name and version of this program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    html, record, table = (folder / f"ranking.{ending}" for ending in ("html", "json", "csv"))
    ranked = [(one, ranking(one, _features(trained, one))) for one in trained.held_out]
    folds = max((one.judged.losses.shape[0] for one in trained.held_out), default=0)
    written = page(
        "ranking.html.j2",
        title=f"The features of {trained.model.identity.name} {trained.model.identity.version}",
        simulated=trained.model.identity.simulated,
        folds=folds,
        age_and_sex=any(one.training.people is not None for one in trained.model.classifiers.values()),
        repeats=REPEATS,
        parts=[_part(trained, one, rows) for one, rows in ranked],
        software=software,
    )
    html.write_text(written, encoding="utf-8")
    entries = [
        {"target": one.target.value, "sequence": one.sequence, **asdict(row)}
        for one, rows in ranked
        for row in rows
    ]
    told = {"software": software, "folds": folds, "repeats": REPEATS, "features": entries}
    record.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    names = ("target", "sequence", *(part.name for part in fields(Ranked)))
    write_table(table, {name: [entry[name] for entry in entries] for name in names})
    return html, record, table


def _features(trained: Trained, one: HeldOut) -> tuple[str, ...]:
    return trained.model.classifiers[one.target, one.sequence].features


def _part(trained: Trained, one: HeldOut, rows: Sequence[Ranked]) -> dict[str, Any]:
    """Return what the page shows of a classifier: the features of the model, and the others."""
    classifier = trained.model.classifiers[one.target, one.sequence]
    own = [row for row in rows if row.in_model]
    return {
        "name": f"{one.target.value}, {one.sequence}",
        "kind": classifier.kind,
        "auc": classifier.performance.values["AUC"],
        "rows": own,
        "others": [row for row in rows if not row.in_model],
        "picture": embedded(_losses_svg(own)),
    }


def _losses_svg(rows: Sequence[Ranked]) -> bytes:
    with style():
        figure = Figure(figsize=(11, 0.26 * len(rows) + 0.8), layout="constrained")
        axes = figure.subplots()
        heights = range(len(rows))
        axes.errorbar(
            [row.loss for row in rows],
            heights,
            xerr=[row.sd for row in rows],
            color="#0072B2",
            marker="o",
            markersize=5,
            capsize=2,
            linestyle="none",
        )
        axes.set(yticks=heights, yticklabels=[row.feature for row in rows], xlabel="AUC lost (mean, SD)")
        axes.invert_yaxis()
        axes.axvline(0.0, color="black", linewidth=0.6, linestyle=":")
        axes.grid(axis="x", linewidth=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        return svg(figure)
