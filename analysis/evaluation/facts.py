"""What a run tells about itself, for the checklists: one sentence or two for each fact, by its name."""

from collections.abc import Mapping

from analysis.cohort.who import WhoWasIn
from analysis.domain.findings import Target
from analysis.evaluation.outcomes import Validation
from analysis.evaluation.result import BASELINES, Evaluation
from analysis.learning.learn import LearningSettings
from analysis.learning.train import TrainingSettings
from analysis.prediction.model import Model

__all__ = ["evaluation_facts", "training_facts", "validation_facts"]

_REPLACED = " An unknown age or sex is replaced by the median of the learning patients."
_LEFT_OUT = " Patients of unknown age or sex are left out."
_UNANSWERED = " Patients of unknown age or sex get no answer."
_CODE = "OsteoNode is open source (Apache-2.0)."


def evaluation_facts(evaluation: Evaluation, who: WhoWasIn) -> dict[str, str]:
    """Return the facts of an evaluation."""
    settings = evaluation.settings
    shown = {cell.source for cell in evaluation.cells}
    return {
        **_common(
            who,
            settings.thresholds_mg_cm3,
            evaluation.features_digest,
            "evaluation.html",
            unknown=_REPLACED if settings.age_and_sex else "",
        ),
        **_learned(settings.learning, settings.kinds, age_and_sex=settings.age_and_sex),
        "aim": "Comparison of kinds of model and of sequences within one cohort; no model is kept.",
        "split": f"{settings.splits} stratified splits by patient, {100 * settings.test_share:.0f} % to be "
        "judged on; all learning inside the splits. Testing is internal.",
        "internal": f"{settings.splits} repeated splits of the cohort.",
        "intervals": "Over repeated splits, corrected for shared patients, with a bootstrap of patients; "
        "calibration by a bootstrap (evaluation.html, How to read this).",
        "tests": "Corrected resampled t-test over all splits, DeLong on the first; Holm's correction.",
        "baselines": f"Compared with {', '.join(name for name in BASELINES if name in shown)} "
        "as logistic regressions (evaluation.html, table.csv).",
        "sequences": "T1, T2 and both together are compared (tests.csv)"
        + (", each also with age and sex." if settings.age_and_sex else "."),
        "events": f"{evaluation.patients} patients with both sequences; "
        + _events({target: int(truth.sum()) for target, truth in evaluation.present.items()}),
        "performance": "evaluation.html and table.csv.",
    }


def training_facts(settings: TrainingSettings, model: Model, who: WhoWasIn) -> dict[str, str]:
    """Return the facts of a training."""
    return {
        **_common(
            who,
            settings.thresholds_mg_cm3,
            model.features_digest,
            "cohort.html",
            unknown=_LEFT_OUT if settings.age_and_sex else "",
        ),
        **_learned(settings.learning, settings.kinds, age_and_sex=settings.age_and_sex),
        "aim": "Development of a model with internal validation.",
        "use": model.identity.intended_use,
        "split": f"Nested cross-validation, {settings.folds} outer folds by patient; testing is internal.",
        "internal": f"Nested cross-validation with {settings.folds} outer folds.",
        "intervals": "AUC by DeLong, proportions by Wilson, the Brier score by a bootstrap (card.md).",
        "events": "; ".join(
            f"{target.value} from {sequence}: {one.performance.patients} patients, "
            f"{one.performance.present} with it"
            for (target, sequence), one in model.classifiers.items()
        )
        + ".",
        "bundle": "The bundle holds estimators, features, calibration, threshold and training range "
        "(card.json, model.skops).",
        "protocol": "Range of TR, TE and field strength by sequence in card.md.",
        "performance": "card.md; predictions of held-out patients in predictions.csv.",
        "interpretability": "Features ranked by the AUC lost when one is shuffled among held-out patients "
        "(ranking.html, ranking.csv).",
        "limits": "Remarks in card.md.",
        "system": "The node runs the bundle and returns DICOM.",
        "abstention": "No answer outside the training range, or where the interval holds the threshold.",
    }


def validation_facts(validation: Validation, who: WhoWasIn) -> dict[str, str]:
    """Return the facts of an external validation."""
    identity = validation.identity
    return {
        **_common(
            who,
            identity.thresholds_mg_cm3,
            None,
            "validation.html",
            unknown=_UNANSWERED if validation.age_and_sex else "",
        ),
        "aim": "Evaluation of an existing model on patients of another cohort.",
        "use": identity.intended_use,
        "model": f"{identity.name} {identity.version}, bundle {identity.digest}; nothing was fitted.",
        "calculated": "As the node calculates them, from the images, by the bundle.",
        "split": "All patients are for testing, which is external to the training.",
        "external": "This validation.",
        "predictors": "Radiomics, with age and sex of the cohort table."
        if validation.age_and_sex
        else "Radiomics.",
        "groups": "By site, scanner, field strength, sex and age (groups.csv).",
        "differences": f"Training cohort: {identity.cohort} This cohort: Table 1 in validation.html.",
        "intervals": "DeLong's for the AUC, Wilson's for proportions, bootstrap of patients for the others.",
        "events": f"{validation.patients} labelled patients; "
        + _events({one.target: int(one.present.sum()) for one in validation.node}),
        "performance": "validation.html and figures.csv.",
        "bundle": f"Bundle {identity.digest}.",
        "abstention": "Counted with their reasons in validation.html.",
        "system": "The node runs the bundle and returns DICOM.",
    }


def _common(
    who: WhoWasIn,
    thresholds: Mapping[Target, float],
    features_digest: str | None,
    page: str,
    *,
    unknown: str,
) -> dict[str, str]:
    flow = who.flow
    told = {
        "guidelines": "TRIPOD+AI, CLEAR and METRICS: this list.",
        "code": _CODE,
        "software": "pyradiomics; features that the IBSI defines agree with its reference values.",
        "outcome": "; ".join(
            f"{target.value}: trabecular BMD by QCT below {bmd:g} mg/cm³"
            for target, bmd in thresholds.items()
        )
        + ".",
        "masks": _masks(who),
        "preparation": "Series are identified by header and pixels; unusable ones are refused with a reason.",
        "flow": f"{flow.rows} rows, {flow.unlabelled} without a label, {flow.unreadable} unreadable, "
        f"{flow.refused} refused, {flow.analysed} analysed ({page}).",
        "table_1": f"Table 1 in {page}.",
        "missing": f"Patients without a label, left out: {flow.unlabelled}; with one sequence: "
        f"{flow.one_sequence}." + unknown,
        "measures": "AUC, sensitivity, specificity, accuracy, Brier score, calibration slope and intercept, "
        "observed to expected, net benefit.",
        "calibration": f"Slope, intercept and curve ({page}).",
    }
    if features_digest is not None:
        told["features"] = f"Configuration of the features, SHA-256 {features_digest}."
        told["shared_features"] = "`osteonode features` writes them with units and IBSI codes."
        told["sample_size"] = " ".join(
            need.warning or f"{need.target.value}: as many patients as Riley's criteria ask for."
            for need in who.needs
        )
        told["count"] = "; ".join(
            f"{need.candidates} candidate features ({need.target.value})" for need in who.needs
        )
    return told


def _masks(who: WhoWasIn) -> str:
    """Return who outlined the bodies: the table names masks of readers, or a program did it."""
    program = (
        "outlined without a reader, by the segmenter of the configuration; docs/accuracy.md tells how well "
        "the embedded one does."
    )
    if not who.drawn:
        return f"Vertebral bodies {program}"
    told = (
        f"Vertebral bodies of {' and '.join(who.drawn)} as outlined by a reader (masks in the cohort table)."
    )
    if len(who.drawn) == 1:
        told += f" Those of the other sequence {program}"
    second = " Masks of a second reader tell how well features repeat." if who.second_reader else ""
    return f"{told}{second} The experience of the readers is for the authors to tell."


def _learned(learning: LearningSettings, kinds: tuple[str, ...], *, age_and_sex: bool) -> dict[str, str]:
    tried = learning.record(kinds)["models"]
    grids = "; ".join(
        f"{kind} ({', '.join(f'{name} {values}' for name, values in grid.items())})"
        for kind, grid in tried.items()
    )
    return {
        "predictors": "Radiomics of T1 and T2" + (", with age and sex." if age_and_sex else "."),
        "scaling": "Standardised inside the folds.",
        "selection": f"mRMR inside the folds, {', '.join(map(str, learning.feature_counts))} features tried.",
        "model": f"{grids}; tuned by AUC in {learning.folds} inner folds; probabilities by Platt's method.",
        "choice": "By AUC in the inner folds; the simpler wins a tie.",
        "threshold": learning.threshold_rule.sentence(),
        "imbalance": "Classes are neither sampled nor weighted; splits are stratified.",
        "repeatability": f"Features with an ICC below {learning.minimum_icc:g} when borders of the bodies "
        "move, or between two readers, are left out inside the folds, where that was measured.",
        "no_deep_learning": "Does not apply: the features are hand-crafted.",
    }


def _events(present: Mapping[Target, int]) -> str:
    return ", ".join(f"{count} with {target.value}" for target, count in present.items()) + "."
