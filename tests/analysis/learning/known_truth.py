"""Cohorts of which the true probability of the target is known for every patient."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.learning.learn import LearningSettings, learn, prepare_training_set
from analysis.learning.refits import error_band, remoteness

__all__ = ["COHORTS", "Coverage", "coverage"]

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], Callable[[int], tuple[Floats, Floats]]]
"""Draws a nature (its weights); the result draws that many patients: features and true log odds."""


def few(
    rng: np.random.Generator, *, informative: int = 8, features: int = 30
) -> Callable[[int], tuple[Floats, Floats]]:
    """Independent features, of which a few bear on the target."""
    weights = np.zeros(features)
    weights[:informative] = rng.normal(size=informative)
    weights *= 1.5 / np.linalg.norm(weights)

    def draw(count: int) -> tuple[Floats, Floats]:
        values = rng.normal(size=(count, features))
        return values, values @ weights - 0.7

    return draw


def latent(
    rng: np.random.Generator, *, factors: int = 6, features: int = 40
) -> Callable[[int], tuple[Floats, Floats]]:
    """Features that correlate, because they show the same few factors with noise."""
    mixing = rng.normal(size=(factors, features))
    covariance = mixing.T @ mixing + np.eye(features)
    weights = np.linalg.solve(covariance, mixing.T @ rng.normal(size=factors))
    weights *= 1.5 / np.sqrt(weights @ covariance @ weights)

    def draw(count: int) -> tuple[Floats, Floats]:
        values = rng.normal(size=(count, factors)) @ mixing + rng.normal(size=(count, features))
        return values, values @ weights - 0.7

    return draw


def bent(rng: np.random.Generator) -> Callable[[int], tuple[Floats, Floats]]:
    """As `latent`, with log odds that saturate on one side, and depend on a square."""
    straight = latent(rng)

    def draw(count: int) -> tuple[Floats, Floats]:
        values, linear = straight(count)
        return values, 1.5 * np.tanh(linear + 0.7) + 0.3 * (values[:, 0] ** 2 / 7 - 1) - 0.5

    return draw


COHORTS: dict[str, Draw] = {"few": few, "latent": latent, "bent": bent}


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often intervals hold the truth for new patients, and how wide they are."""

    held: float
    held_answered: float
    answered: float
    width: float


def coverage(nature: Draw, kind: str, *, patients: int, seed: int, refits: int, new: int = 1000) -> Coverage:
    """Train a classifier of one kind on a drawn cohort, and judge its intervals on new patients."""
    rng = np.random.default_rng(seed)
    draw = nature(rng)
    values, odds = draw(patients)
    present = rng.random(patients) < 1 / (1 + np.exp(-odds))
    settings = LearningSettings(refits=refits)
    nothing = np.full_like(values, np.nan)
    learned = learn(prepare_training_set(values, present, settings), (kind,), settings)
    band = error_band(values, nothing, present, learned, settings)
    others, true_odds = draw(new)
    truth = 1 / (1 + np.exp(-true_odds))
    remote = remoteness(values[:, learned.columns], others[:, learned.columns])
    limits = np.array(
        [
            band.interval(p, r)
            for p, r in zip(learned.probabilities(others).tolist(), remote.tolist(), strict=True)
        ]
    )
    held = (limits[:, 0] <= truth) & (truth <= limits[:, 1])
    answered = (limits[:, 0] >= learned.threshold) | (limits[:, 1] < learned.threshold)
    return Coverage(
        held=float(held.mean()),
        held_answered=float(held[answered].mean()) if answered.any() else float("nan"),
        answered=float(answered.mean()),
        width=float(np.ptp(limits, axis=1).mean()),
    )
