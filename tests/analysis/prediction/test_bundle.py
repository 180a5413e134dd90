import json
import shutil
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import sklearn
import skops.io
from sklearn.tree import DecisionTreeClassifier

import analysis
from analysis.errors import ModelRejectedError
from analysis.learning.learn import KINDS
from analysis.learning.train import train
from analysis.prediction.bundle import load, save
from analysis.settings import FeatureSettings
from tests.analysis.synthetic_cohort import synthetic_table
from tests.analysis.synthetic_model import QUICKER, another_model, quick_model, trained_again

pytestmark = pytest.mark.slow


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save(quick_model(), tmp_path / "bundle")
    return tmp_path / "bundle"


def sign(bundle: Path) -> None:
    """Update the checksums of a changed bundle, as an attacker would."""
    names = ("card.json", "card.md", "model.skops")
    lines = [f"{sha256((bundle / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (bundle / "SHA256").write_text("".join(lines))


def test_a_bundle_comes_back_as_it_was_saved(bundle: Path) -> None:
    model, loaded = quick_model(), load(bundle, FeatureSettings())
    assert loaded.classifiers.keys() == model.classifiers.keys()
    for key, classifier in loaded.classifiers.items():
        original = model.classifiers[key]
        assert classifier.calibration == original.calibration
        assert classifier.conformal == original.conformal
        assert classifier.band == original.band
        assert classifier.threshold_rule == original.threshold_rule
        assert classifier.threshold_spread == original.threshold_spread
        assert classifier.performance == original.performance
        assert classifier.features == original.features
        np.testing.assert_array_equal(classifier.training.precision, original.training.precision)
        values = np.random.default_rng(0).normal(size=(9, len(classifier.features)))
        np.testing.assert_array_equal(
            classifier.estimator.predict_proba(values), original.estimator.predict_proba(values)
        )


def test_the_digest_is_that_of_the_checksums_and_the_same_for_the_same_model(
    bundle: Path, tmp_path: Path
) -> None:
    digest = save(trained_again().model, tmp_path / "again")
    assert digest == load(bundle, FeatureSettings()).identity.digest
    assert digest == sha256((bundle / "SHA256").read_bytes()).hexdigest()
    assert digest != save(another_model(), tmp_path / "other")


@pytest.mark.parametrize("name", ["card.json", "card.md", "model.skops"])
def test_one_changed_byte_is_refused(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(ModelRejectedError, match=f"wrong checksum of {name}"):
        load(bundle, FeatureSettings())


@pytest.mark.parametrize("name", ["card.json", "card.md", "model.skops", "SHA256"])
def test_a_missing_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(ModelRejectedError, match=f"not complete: no {name}"):
        load(bundle, FeatureSettings())


def test_no_bundle_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRejectedError, match="not complete"):
        load(tmp_path / "nothing", FeatureSettings())


def test_another_feature_configuration_is_refused(bundle: Path) -> None:
    with pytest.raises(ModelRejectedError, match="another feature configuration"):
        load(bundle, FeatureSettings(bin_count=64))


def test_a_type_that_skops_trusts_and_we_do_not_is_refused(bundle: Path) -> None:
    tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    skops.io.dump({"osteoporosis from T1": tree}, bundle / "model.skops")
    sign(bundle)
    with pytest.raises(ModelRejectedError, match=r"not trusted: .*DecisionTreeClassifier"):
        load(bundle, FeatureSettings())


def test_estimators_that_are_no_archive_are_refused(bundle: Path) -> None:
    (bundle / "model.skops").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    sign(bundle)
    with pytest.raises(ModelRejectedError, match="cannot be read"):
        load(bundle, FeatureSettings())


def test_a_missing_estimator_is_refused(bundle: Path) -> None:
    skops.io.dump({}, bundle / "model.skops")
    sign(bundle)
    with pytest.raises(ModelRejectedError, match="card of the model bundle"):
        load(bundle, FeatureSettings())


@pytest.mark.parametrize("change", ["format", "classifiers", "features_digest", "thresholds_mg_cm3"])
def test_a_card_that_lacks_something_is_refused(bundle: Path, change: str) -> None:
    card = json.loads((bundle / "card.json").read_text())
    del card[change]
    (bundle / "card.json").write_text(json.dumps(card))
    sign(bundle)
    with pytest.raises(ModelRejectedError, match="card"):
        load(bundle, FeatureSettings())


def test_a_bundle_of_an_earlier_format_is_refused_and_says_what_to_do(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps({**card, "format": 1}))
    sign(bundle)
    with pytest.raises(
        ModelRejectedError, match=r"format 1, and this program reads 2: train the model again"
    ):
        load(bundle, FeatureSettings())


def test_the_card_tells_the_answers_given_and_the_spread_of_the_threshold(bundle: Path) -> None:
    card = (bundle / "card.md").read_text()
    for one in quick_model().classifiers.values():
        answers, (low, high) = one.performance.answers, one.threshold_spread
        still_open = answers.patients - answers.answered
        assert f"{answers.answered} got an answer, and {still_open} stayed" in card
        assert f"it lies from {low:.2f} to {high:.2f}" in card
        assert one.threshold_rule in card


def test_a_card_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / "card.json").write_text("{")
    sign(bundle)
    with pytest.raises(ModelRejectedError, match="card that cannot be read"):
        load(bundle, FeatureSettings())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_passes_through_the_store(tmp_path: Path, kind: str) -> None:
    model = train(synthetic_table(60, 8), replace(QUICKER, kinds=(kind,)))
    save(model, tmp_path)
    assert {one.kind for one in load(tmp_path, FeatureSettings()).classifiers.values()} == {kind}


def test_saving_over_a_bundle_replaces_it(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "copy")
    digest = save(another_model(), tmp_path / "copy")
    assert load(tmp_path / "copy", FeatureSettings()).identity.digest == digest


def test_the_card_says_first_that_data_were_simulated(bundle: Path) -> None:
    lines = (bundle / "card.md").read_text().splitlines()
    assert "simulated data" in lines[2]
    assert "not for clinical use" in lines[2].lower()


def test_the_shipped_model_is_simulated_and_no_better_than_is_plausible() -> None:
    """Images tell something of the density; with an AUC above 0.9 the simulation would leak it."""
    model = load(Path(analysis.__file__).parent / "models" / "demonstration", FeatureSettings())
    assert model.identity.simulated
    assert len(model.classifiers) == 4
    for classifier in model.classifiers.values():
        performance = classifier.performance
        assert performance.intervals["AUC"][0] > 0.5
        assert performance.values["AUC"] < 0.86


def test_another_scikit_learn_is_no_fault_while_it_answers_the_same(
    bundle: Path,
) -> None:
    with zipfile.ZipFile(bundle / "model.skops") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert sklearn.__version__.encode() in files["schema.json"]
    files["schema.json"] = files["schema.json"].replace(sklearn.__version__.encode(), b"1.8.0")
    with zipfile.ZipFile(bundle / "model.skops", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    sign(bundle)
    assert load(bundle, FeatureSettings()).classifiers.keys() == quick_model().classifiers.keys()


def test_an_estimator_that_answers_otherwise_than_in_training_is_refused(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    card["classifiers"][2]["probe"]["score"] += 0.001
    (bundle / "card.json").write_text(json.dumps(card))
    sign(bundle)
    with pytest.raises(ModelRejectedError, match=r"answers .* where it answered .* in training"):
        load(bundle, FeatureSettings())
