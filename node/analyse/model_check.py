"""Checks the files of all models before a node starts."""

from analysis.errors import ModelRejectedError
from analysis.prediction.checksums import digest_of
from node.config import Configuration
from node.errors import PermanentError

__all__ = ["check_models"]

_CHOSEN, _SHADOW = "[models] bundle", "[models] shadow"


def check_models(configuration: Configuration) -> None:
    """Check the files of the chosen model and of all models in the shadow, and that each model is there once.

    Without the chosen one, every study would be set aside.

    Raises
    ------
    PermanentError
        If one is missing or damaged, or there twice.
    """
    models = configuration.models
    named = [(_SHADOW, bundle) for bundle in models.shadow]
    if models.bundle is not None:
        named.insert(0, (_CHOSEN, models.bundle))
    seen: dict[str, str] = {}
    for key, bundle in named:
        try:
            digest = digest_of(bundle)
        except ModelRejectedError as error:
            raise PermanentError(f"{key}: {error}") from error
        if digest in seen:
            raise PermanentError(f"{key}: {bundle.name} is the same model as {seen[digest]}")
        seen[digest] = bundle.name if key == _SHADOW else key
