"""The part of the measurement report that compares with an earlier examination of the patient.

It is among the evaluations, not among the measurements: a viewer would show a value of then as one of now.
"""

from highdicom.sr import ContentItem, ContentSequence
from pydicom.sr.codedict import codes

from analysis.domain.examination import Comparison, ProbabilityChange, ScoreChange
from dicom_templates.codes import concepts
from dicom_templates.objects.content_items import (
    MODIFIER,
    code,
    container,
    day,
    number,
    text,
    uid_reference,
)
from dicom_templates.quantities import earlier_probability, score_change_quantities
from dicom_templates.words.priors import prior_probability_lines, prior_score_lines
from dicom_templates.words.texts import Texts

__all__ = ["prior_comparison"]


def prior_comparison(prior: Comparison, texts: Texts) -> ContentItem:
    """Write the comparison.

    Parameters
    ----------
    prior : Comparison
        Of scores and probabilities.
    texts : Texts
        The sentences in the language of the report.

    Returns
    -------
    ContentItem
        A container: which examination, its digest, the comparison in words, and each value of then.
    """
    earlier = prior.earlier
    return container(
        codes.DCM.ComparisonToPreviousStudies,
        [
            *([day(codes.DCM.StudyDate, earlier.day)] if earlier.day is not None else []),
            uid_reference(codes.DCM.StudyInstanceUID, earlier.study_uid),
            text(concepts.EARLIER_DIGEST, earlier.digest()),
            *(
                text(codes.DCM.Comment, line)
                for line in (*prior_score_lines(prior, texts), *prior_probability_lines(prior, texts))
            ),
            *(_score(one, texts) for one in prior.scores),
            *(_probability(one) for one in prior.probabilities),
        ],
    )


def _score(change: ScoreChange, texts: Texts) -> ContentItem:
    comparable = codes.SCT.No if change.obstacles else codes.SCT.Yes
    return container(
        concepts.COMPARED_SCORE,
        [
            code(concepts.WEIGHTING, concepts.SIGNAL_OF[change.contrast], MODIFIER),
            *(number(one.concept, one.value, one.unit) for one in score_change_quantities(change)),
            code(concepts.COMPARABLE, comparable),
            *(text(concepts.NOT_COMPARABLE_REASON, one) for one in texts.reasons(change.obstacles)),
        ],
    )


def _probability(change: ProbabilityChange) -> ContentItem:
    earlier = earlier_probability(change)
    item = number(earlier.concept, earlier.value, earlier.unit)
    item.ContentSequence = ContentSequence(
        [code(codes.DCM.Finding, concepts.TARGET_OF[change.target], MODIFIER)]
    )
    return item
