"""Model bundles on disk: a folder with a card, the estimators and their checksums.

```
card.json     everything but the estimators, for programs
card.md       the same for people
model.skops   the estimators, one for every target and sequence
SHA256        checksums of the three files, in the format of `sha256sum -c SHA256`
```
The checksums detect damaged and mixed-up files. They are not a signature: a person who can change a bundle
can change them as well. That is why every report cites the digest of the bundle.
"""

import io
import json
import sys
import warnings
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from math import isclose
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from analysis.errors import ModelRejectedError
from analysis.prediction.card import card_of, estimator_key, markdown_of, model_of
from analysis.prediction.checksums import CHECKSUMS, CONTENT, checked, digest_of
from analysis.prediction.model import Classifier, Estimator, Model, raw_scores
from analysis.settings import FeatureSettings

__all__ = ["TRUSTED_TYPES", "Classifier", "Model", "digest_of", "load", "save", "warm_up"]

TRUSTED_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.float64",
        "numpy.int64",
        "numpy.ndarray",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._stochastic_gradient.SGDClassifier",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.svm._classes.SVC",
    }
)
"""The types that a bundle may hold; no other scikit-learn type is needed."""

_TOLERANCE = 1e-6
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save(model: Model, folder: Path) -> str:
    """Write a bundle and return its digest; the same model gives the same bytes.

    Parameters
    ----------
    model : Model
        The model; the digest in its identity is ignored.
    folder : Path
        Target folder, created if missing; files of an earlier bundle are replaced.
    """
    skops = _skops()
    estimators = {estimator_key(*key): one.estimator for key, one in model.classifiers.items()}
    written = {
        "card.json": (json.dumps(card_of(model), indent=1, allow_nan=False) + "\n").encode(),
        "card.md": markdown_of(model).encode(),
        "model.skops": _reproducible(skops.dumps(estimators)),
    }
    checksums = "".join(f"{sha256(written[name]).hexdigest()}  {name}\n" for name in CONTENT).encode()
    folder.mkdir(parents=True, exist_ok=True)
    # The checksums are written last, so that an incomplete bundle does not load.
    (folder / CHECKSUMS).unlink(missing_ok=True)
    for name, content in written.items():
        (folder / name).write_bytes(content)
    (folder / CHECKSUMS).write_bytes(checksums)
    return sha256(checksums).hexdigest()


def load(path: Path, features: FeatureSettings) -> Model:
    """Read and check a bundle.

    Parameters
    ----------
    path : Path
        Folder of the bundle.
    features : FeatureSettings
        The settings in use; the model must have been trained with the same.

    Raises
    ------
    ModelRejectedError
        If a file is missing or damaged, a type is not one of `TRUSTED_TYPES`, the card cannot be read, the
        model was trained with another feature configuration, or an estimator no longer gives the answer that
        it gave in training.
    """
    content, digest = checked(path)
    try:
        card = json.loads(content["card.json"])
        bound_to = card["features_digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelRejectedError(f"the model bundle {path.name} has a card that cannot be read") from error
    if bound_to != features.digest():
        raise ModelRejectedError(
            f"the model bundle {path.name} was trained with another feature configuration "
            f"({str(bound_to)[:12]}, this node has {features.digest()[:12]}): "
            "retrain it, or restore the configuration"
        )
    estimators = _estimators(content["model.skops"], path.name)
    try:
        model = model_of(card, estimators, digest)
        _refuse_other_answers(model, path.name)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise ModelRejectedError(f"the card of the model bundle {path.name} is not valid: {error}") from error
    return model


def _refuse_other_answers(model: Model, bundle: str) -> None:
    """Check the answer of every estimator to its probe, because another library version may change it."""
    for (target, sequence), one in model.classifiers.items():
        score = float(raw_scores(one.estimator, np.array([one.probe.values]))[0])
        if not isclose(score, one.probe.score, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            raise ModelRejectedError(
                f"{estimator_key(target, sequence)} in the model bundle {bundle} answers {score:g} where it "
                f"answered {one.probe.score:g} in training (is another scikit-learn installed?); retrain it"
            )


def _estimators(stored: bytes, bundle: str) -> dict[str, Estimator]:
    skops = _skops()
    from sklearn.exceptions import InconsistentVersionWarning
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with zipfile.ZipFile(io.BytesIO(stored)) as archive:
            schema = json.loads(archive.read("schema.json"))
        unknown = sorted(set(_types_in(schema)) - TRUSTED_TYPES)
        if unknown:
            raise ModelRejectedError(
                f"the model bundle {bundle} holds types that are not trusted: {', '.join(unknown)}"
            )
        with warnings.catch_warnings():
            # Another scikit-learn version is no fault by itself; the probes tell whether the answers changed.
            warnings.simplefilter("ignore", InconsistentVersionWarning)
            loaded = skops.loads(stored, trusted=sorted(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise ModelRejectedError(
            f"the model bundle {bundle} holds types that are not trusted: {error}"
        ) from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise ModelRejectedError(f"the estimators of the model bundle {bundle} cannot be read") from error
    if not isinstance(loaded, dict):
        raise ModelRejectedError(f"the model bundle {bundle} holds no estimators by name")
    return loaded


def warm_up() -> None:
    """Load the library that reads the estimators, which takes part of a second."""
    _skops()


def _skops() -> ModuleType:
    """Return `skops.io`, imported without the parts of scikit-learn that no bundle needs.

    To trust every scikit-learn type, it asks scikit-learn for all of them as it is imported, and so loads
    each module of scikit-learn and what these can work with: 20 MB and 0.4 s. Here only `TRUSTED_TYPES`
    count.
    """
    if "skops.io" not in sys.modules:
        import sklearn.utils

        with patch.object(sklearn.utils, "all_estimators", list):
            import_module("skops.io")
    return sys.modules["skops.io"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 -- any JSON value
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _types_in(schema: Any) -> Iterator[str]:  # noqa: ANN401 -- any JSON value
    for node in _nodes(schema):
        if "__class__" in node:
            yield f"{node.get('__module__')}.{node['__class__']}"


def _reproducible(stored: bytes) -> bytes:
    """Make a skops archive reproducible.

    skops names objects and files by `id()`, and a zip archive holds times. Names are replaced by numbers in
    order of occurrence, and times by a constant.
    """
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop("schema.json"))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if "file" in node:
            node["file"] = names.setdefault(node["file"], f"{len(names)}{Path(node['file']).suffix}")
    renamed = {names[name]: content for name, content in files.items()}
    renamed["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), renamed[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
