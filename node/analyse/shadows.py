"""Has the models in the shadow asked about a study, so that none of them can harm its result."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic

from analysis.domain.target import Target
from analysis.errors import AnalysisError, ModelRejectedError
from analysis.prediction.checksums import digest_of, written_card
from analysis.settings import AnalysisSettings
from node.config import Configuration
from node.domain.model_answer import AnswerState, ModelAnswer, ModelQuestion, Role
from node.domain.results import Outcome
from node.errors import NodeError, TransientError
from node.log import Log

__all__ = ["PATIENCE", "AskShadow", "Shadows"]

AskShadow = Callable[[ModelQuestion, Path, AnalysisSettings, float], tuple[ModelAnswer, ...]]
"""Usually a call of a worker process of its own; see `node.analyse.model_answers.answer_in_shadow`. The last
argument is how many seconds it may take, which includes the wait for a process that another study uses.
"""
PATIENCE = timedelta(minutes=1)
"""A study waits no longer for all of its models in the shadow together. An answer takes about a second."""
_LONGEST_NAME = 64


class Shadows:
    """Adds the answers of the models in the shadow to the outcome of an analysis.

    Parameters
    ----------
    ask : callable
        Asks one model.
    stopping : Event
        Set when the node stops: then a failure is none of the model.
    log : Log
        Logs each failure.
    seconds : callable, optional
        Returns the seconds since some moment.
    """

    def __init__(
        self, ask: AskShadow, stopping: Event, log: Log, *, seconds: Callable[[], float] = monotonic
    ) -> None:
        self._ask = ask
        self._stopping = stopping
        self._log = log
        self._seconds = seconds

    def added(self, outcome: Outcome, configuration: Configuration) -> Outcome:
        """Return the outcome with the answers of every model in the shadow; a failure is an answer, too.

        All of them together have `PATIENCE`. What is left of it is shared equally among those that were not
        asked yet, so that one that hangs leaves time for the others.

        Raises
        ------
        TransientError
            If the node is stopping meanwhile.
        """
        if outcome.question is None or not configuration.models.shadow:
            return outcome
        # One row for each model and target: a copy of the chosen model in the place of another adds none.
        kept = {(one.bundle, one.target): one for one in outcome.model_answers}
        bundles, end = configuration.models.shadow, self._seconds() + PATIENCE.total_seconds()
        for count, bundle in enumerate(bundles):
            limit_s = max(0.0, end - self._seconds()) / (len(bundles) - count)
            for answer in self._answers(outcome.question, bundle, configuration, limit_s):
                kept.setdefault((answer.bundle, answer.target), answer)
        return replace(outcome, model_answers=tuple(kept.values()))

    def _answers(
        self, asked: ModelQuestion, bundle: Path, configuration: Configuration, limit_s: float
    ) -> tuple[ModelAnswer, ...]:
        try:
            return self._ask(asked, bundle, configuration.analysis, limit_s)
        except Exception as error:  # whatever it is, the study goes on to its result
            if self._stopping.is_set():
                raise TransientError("the node is stopping") from error
            # The message of a library may quote a dataset.
            ours = isinstance(error, AnalysisError | NodeError)
            told = str(error) if ours else type(error).__name__
            self._log.warning("shadow_failed", model=bundle.name, reason=told)
            return tuple(_faults(asked, bundle, type(error).__name__))


def _faults(asked: ModelQuestion, bundle: Path, kind: str) -> Iterator[ModelAnswer]:
    name, version = _card(bundle)
    for target in Target:
        yield ModelAnswer(
            target=target,
            role=Role.SHADOW,
            bundle=_digest(bundle),
            name=name,
            version=version,
            state=AnswerState.FAULT,
            reasons=(kind,),
            acquired=asked.origin.acquired,
            scanner=asked.origin.scanner(""),
        )


def _digest(bundle: Path) -> str:
    try:
        return digest_of(bundle)
    except ModelRejectedError:
        return bundle.name[:_LONGEST_NAME]


def _card(bundle: Path) -> tuple[str, str]:
    card = written_card(bundle)
    return (str(card["name"]), str(card["version"])) if {"name", "version"} <= card.keys() else ("", "")
