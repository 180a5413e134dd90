"""Checks of what the analysis needs: decoders, segmenter and model."""

from collections.abc import Iterator
from pathlib import Path

from node.config import Configuration
from node.operate.doctor.result import CheckResult, Severity

__all__ = ["codecs", "model", "segmenter"]


def codecs(_configuration: Configuration) -> Iterator[CheckResult]:
    """Check that there is a decoder for each lossless compression."""
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in (uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        if get_decoder(syntax).is_available:
            yield CheckResult(Severity.GOOD, "codecs", f"{syntax.name} can be read")
        else:
            yield CheckResult(
                Severity.WARNING, "codecs", f"{syntax.name} cannot be read",
                "Install OsteoNode again with all its dependencies (`uv sync`).",
            )  # fmt: skip


def segmenter(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the segmentation back end can run."""
    from node.analyse.segmenters import back_end_state

    settings = configuration.analysis.segmentation
    subject = f"segmenter {settings.backend}"
    state = back_end_state(settings, configuration.segmentation)
    if state.ready:
        yield CheckResult(Severity.GOOD, subject, state.message)
    else:
        yield CheckResult(
            Severity.FAULT, subject, state.message,
            'Repair this, or set [segmentation] backend to "embedded", which is always available.',
        )  # fmt: skip


def model(configuration: Configuration) -> Iterator[CheckResult]:
    """Check that the models are intact, fit the feature settings, and were trained on patients."""
    models = configuration.models
    if models.bundle is None:
        yield CheckResult(
            Severity.GOOD, "model none", "nothing is predicted; results are measurements and outlines only"
        )
    else:
        subject, made_by = f"model {models.bundle.name}", "Set [models] bundle to"
        yield from _checked(configuration, models.bundle, subject, made_by)
    for bundle in models.shadow:
        subject, made_by = f"shadow {bundle.name}", "Take it out of [models] shadow, or name"
        yield from _checked(configuration, bundle, subject, made_by)
    if models.shadow:
        yield from _told_apart(configuration)


def _checked(configuration: Configuration, bundle: Path, subject: str, remedy: str) -> Iterator[CheckResult]:
    # Imported here because loading a model imports the analysis, which takes seconds.
    from analysis.errors import ModelRejectedError
    from analysis.prediction.bundle import load

    try:
        loaded = load(bundle, configuration.analysis.features)
    except (ModelRejectedError, OSError) as error:
        yield CheckResult(
            Severity.FAULT, subject, str(error),
            f"{remedy} a bundle made with `osteonode train` for these features.",
        )  # fmt: skip
        return
    for lacking in loaded.never_answered(configuration.analysis.preferred):
        yield CheckResult(
            Severity.FAULT, subject, f"it has no {lacking}, so this is never answered",
            "Train a model with this configuration, or change what [analysis] asks for.",
        )  # fmt: skip
    identity = loaded.identity
    if identity.simulated:
        yield CheckResult(
            Severity.WARNING, subject, "it was trained on simulated patients and is for demonstration only",
            "Train a model on a cohort of your own with `osteonode train` and name it in [models].",
        )  # fmt: skip
    else:
        yield CheckResult(Severity.GOOD, subject, f"{identity.name} {identity.version} is whole")


def _told_apart(configuration: Configuration) -> Iterator[CheckResult]:
    from node.analyse.model_check import check_models
    from node.errors import PermanentError

    try:
        check_models(configuration)
    except PermanentError as error:
        yield CheckResult(
            Severity.FAULT, "shadow", str(error),
            "Name each model once, and only what is whole: the node does not start otherwise.",
        )  # fmt: skip
