"""What models answered to a study, as it is kept; and the function that asks a model in the shadow."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from pydicom import Dataset

from analysis.domain.findings import Findings, ModelIdentity, Prediction, Verdict
from analysis.settings import AnalysisSettings
from dicom_templates.origin.patient_study import date_of
from node.decode.header_values import scanner_of
from node.domain.model_answer import AnswerState, ModelAnswer, ModelQuestion, Origin, Role

__all__ = ["answer_in_shadow", "chosen_answers", "question"]


def question(findings: Findings, sources: Mapping[str, Sequence[Dataset]]) -> ModelQuestion:
    """Return what any model is asked about a study, and by which it is told where the images come from.

    Parameters
    ----------
    findings : Findings
        What was found.
    sources : mapping of str to sequence of Dataset
        Headers of the analysed series.
    """
    return ModelQuestion(findings.readings, _origin(findings, sources))


def chosen_answers(findings: Findings, asked: ModelQuestion) -> tuple[ModelAnswer, ...]:
    """Return the answers of the chosen model as they are kept; none without a model."""
    if findings.model is None:
        return ()
    return _answers(findings.predictions, findings.model, Role.CHOSEN, asked)


def answer_in_shadow(
    asked: ModelQuestion, bundle: Path, settings: AnalysisSettings
) -> tuple[ModelAnswer, ...]:
    """Ask a model about a study, by the functions that the chosen model is asked by.

    Parameters
    ----------
    asked : ModelQuestion
        The question.
    bundle : Path
        Folder of the model.
    settings : AnalysisSettings
        Those by which the study was measured.

    Raises
    ------
    ModelRejectedError
        If the bundle is damaged, or of other features.
    """
    from analysis.prediction.bundle import load
    from analysis.prediction.predict import predict_from

    model = load(bundle, settings.features)
    predictions = predict_from(asked.readings, model, settings)
    return _answers(predictions, model.identity, Role.SHADOW, asked)


def _answers(
    predictions: Sequence[Prediction], model: ModelIdentity, role: Role, asked: ModelQuestion
) -> tuple[ModelAnswer, ...]:
    return tuple(
        ModelAnswer(
            target=one.target,
            role=role,
            bundle=model.digest,
            name=model.name,
            version=model.version,
            basis=one.sequence,
            state=_state(one),
            probability=one.estimate,
            threshold=one.decision_threshold,
            reasons=tuple(dict.fromkeys(reason.code for reason in one.reasons)),
            distance=one.distance,
            limit=one.distance_limit,
            acquired=asked.origin.acquired,
            scanner=asked.origin.scanner(one.sequence),
        )
        for one in predictions
    )


def _state(answer: Prediction) -> AnswerState:
    match answer.verdict:
        case Verdict.ABOVE:
            return AnswerState.ABOVE
        case Verdict.BELOW:
            return AnswerState.BELOW
        case _:
            return AnswerState.ABSTAINED if answer.estimate is None else AnswerState.INDETERMINATE


def _origin(findings: Findings, sources: Mapping[str, Sequence[Dataset]]) -> Origin:
    scanners, days = {}, []
    for found in findings.series:
        header = sources[found.source.series_uid][0]
        days += [date_of(header, "StudyDate"), found.source.acquired]
        scanners[found.identification.contrast.value] = scanner_of(header)
    return Origin(_month(next((day for day in days if day is not None), None)), scanners)


def _month(day: date | None) -> str:
    return "" if day is None else f"{day:%Y-%m}"
