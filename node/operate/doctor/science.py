"""What the analysis stands on: decoders, whoever outlines the bodies, the model."""

from collections.abc import Iterator

from node.config import Configuration
from node.operate.doctor.finding import Finding, Level

__all__ = ["codecs", "model", "segmenter"]


def codecs(_configuration: Configuration) -> Iterator[Finding]:
    """Tell whether compressed images can be read."""
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    for syntax in (uid.RLELossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        if get_decoder(syntax).is_available:
            yield Finding(Level.GOOD, "codecs", f"{syntax.name} can be read")
        else:
            yield Finding(
                Level.WARNING, "codecs", f"{syntax.name} cannot be read",
                "Install OsteoNode again with all its dependencies (`uv sync`).",
            )  # fmt: skip


def segmenter(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether what outlines the bodies can work."""
    from node.analyse.segmenters import back_end_state

    settings = configuration.analysis.segmentation
    subject = f"segmenter {settings.backend}"
    state = back_end_state(settings, configuration.segmentation)
    if state.ready:
        yield Finding(Level.GOOD, subject, state.message)
    else:
        yield Finding(
            Level.FAULT, subject, state.message,
            'Mend what is said, or let [segmentation] backend be "embedded", which is always there.',
        )  # fmt: skip


def model(configuration: Configuration) -> Iterator[Finding]:
    """Tell whether the model is whole, made for these settings, and trained on patients."""
    # Late: loading a model imports the science, which takes seconds.
    from analysis.errors import ModelRejectedError
    from analysis.prediction.bundle import load

    bundle = configuration.models.bundle_folder
    subject = f"model {bundle.name}"
    try:
        identity = load(bundle, configuration.analysis.features).identity
    except (ModelRejectedError, OSError) as error:
        yield Finding(
            Level.FAULT, subject, str(error),
            "Let [models] bundle point to a bundle made with `osteonode train` for these features.",
        )  # fmt: skip
        return
    if identity.simulated:
        yield Finding(
            Level.WARNING, subject, "it learned from simulated patients and is for demonstration only",
            "Train a model on a cohort of your own with `osteonode train` and name it in [models] bundle.",
        )  # fmt: skip
    else:
        yield Finding(Level.GOOD, subject, f"{identity.name} {identity.version} is whole")
