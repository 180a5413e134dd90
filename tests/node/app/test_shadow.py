"""A model in the shadow is asked, kept and compared, and nothing that leaves the node knows of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from analysis.domain.findings import Findings, Target
from analysis.prediction.bundle import digest_of, load, save
from analysis.prediction.model import Model
from analysis.prediction.predict import predict_from, read_study
from analysis.settings import AnalysisSettings
from dicom_templates import result_set
from dicom_templates.pictures import html_report, overlay
from node.analyse import study
from node.app import Node
from node.clock import SystemClock
from node.config import Configuration, ModelSettings, StoreSettings
from node.decode import SeriesHeaders
from node.domain.model_answer import AnswerState, KeptAnswer, ModelAnswer, Role
from node.domain.model_comparison import compare_models
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate.retry import restart_study
from node.operate.verify import stored_report
from tests.analysis.synthetic_cohort import findings_of, synthetic_table
from tests.analysis.synthetic_model import quick_model
from tests.node import by_hand
from tests.node.by_hand import images_by_hand
from tests.node.nodes import quick, quick_node, running_pacs, send
from tests.patience import wait_until

STUDY, OTHER = "1.2.826.0.1.1", "1.2.826.0.1.2"
TABLE = synthetic_table()
WORKER = "tests.node.app.test_shadow"


def science(
    series: Sequence[SeriesHeaders],
    settings: AnalysisSettings,
    place: object,
    bundle: Path | None,
    *progress: object,
    **remarks: Any,
) -> tuple[Findings, dict[str, Sequence[Dataset]]]:
    """Measure what a patient of the synthetic cohort would give, and ask the real model about it."""
    found, sources = by_hand.science(series, settings, place, bundle, *progress, **remarks)
    row = int(series[0].study_uid.rpartition(".")[2])
    measured = []
    for one in found.series:
        of_table = findings_of(one.identification.contrast.value, row, TABLE)
        source = replace(one.source, facts=of_table.source.facts)
        measured.append(replace(one, source=source, patient_features=of_table.patient_features))
    model = None if bundle is None else load(bundle, settings.features)
    readings = read_study(tuple(measured), settings)
    answers = () if model is None else predict_from(readings, model, settings)
    identity = None if model is None else model.identity
    found = replace(found, series=tuple(measured), readings=readings, predictions=answers, model=identity)
    return found, sources


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "analyse_series", science)
    # These take most of the time, and are of no interest here.
    monkeypatch.setattr(html_report, "page_html", lambda *_: "")
    monkeypatch.setattr(overlay, "draw_overlay", lambda *_, **__: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(result_set, "draw_summary", lambda *_: np.zeros((8, 8, 3), np.uint8))


def named(model: Model, name: str, threshold: float) -> Model:
    classifiers = {key: replace(one, decision_threshold=threshold) for key, one in model.classifiers.items()}
    return replace(model, identity=replace(model.identity, name=name), classifiers=classifiers)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two models of the same features that answer differently."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, threshold in (("in-service", 0.5), ("candidate", 0.05)):
        save(named(quick_model(), name, threshold), folder / name)
    return folder / "in-service", folder / "candidate"


@pytest.fixture
def alone(tmp_path: Path, bundles: tuple[Path, Path], url: str) -> Configuration:
    """Return the configuration of a node with one model."""
    return quick(tmp_path / "var", store=StoreSettings(url), models=ModelSettings(bundles[0]))


def with_shadow(configuration: Configuration, *shadow: Path) -> Configuration:
    return replace(configuration, models=replace(configuration.models, shadow=shadow))


def delivered(node: Node, study_uid: str = STUDY) -> dict[str, bytes]:
    """Wait for the results of a study, and return all files that were made of it, by name."""

    def done() -> bool:
        found = node.store.study(study_uid)
        return found is not None and found.state is StudyState.DELIVERED

    wait_until(done)
    folder = stored_report(node.store, node.instance_store, study_uid).parent
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kept(node: Node, role: Role) -> dict[Target, ModelAnswer]:
    return {one.answer.target: one.answer for one in node.store.model_answers() if one.answer.role is role}


def test_a_shadow_is_kept_beside_the_chosen_model_and_changes_no_byte(
    alone: Configuration, bundles: tuple[Path, Path]
) -> None:
    with running_pacs() as pacs:
        alone = replace(alone, destinations=(pacs.destination,))
        with quick_node(alone, analyse="by_templates") as node:
            send(node.port, *images_by_hand(STUDY, "20260105", model="Magnet 1"))
            without = delivered(node)
            assert set(kept(node, Role.CHOSEN)) == set(Target)
            assert not kept(node, Role.SHADOW), "none was configured"
            key, received = node.store.lineage(STUDY).key, list(pacs.uids)

        with quick_node(with_shadow(alone, bundles[1]), analyse="by_templates") as node:
            assert not kept(node, Role.SHADOW), "a study is not analysed again for a shadow"
            restart_study(node.store, STUDY, SystemClock().now())
            wait_until(lambda: bool(kept(node, Role.SHADOW)))
            assert delivered(node) == without
            assert node.store.lineage(STUDY).key == key
            assert pacs.uids == received, "the same result again is not sent again"
            send(node.port, *images_by_hand(OTHER, "20260205", model="Magnet 1"))
            for content in delivered(node, OTHER).values():
                for told in ("candidate", digest_of(bundles[1])):
                    assert told.encode() not in content
            assert not any("candidate" in str(one) for one in pacs.received)

            chosen, shadow = kept(node, Role.CHOSEN), kept(node, Role.SHADOW)
            for target in Target:
                assert chosen[target].bundle == digest_of(bundles[0])
                assert shadow[target].bundle == digest_of(bundles[1])
                assert (chosen[target].name, shadow[target].name) == ("in-service", "candidate")
                assert chosen[target].probability == shadow[target].probability
                assert (chosen[target].threshold, shadow[target].threshold) == (0.5, 0.05)
                for one in (chosen[target], shadow[target]):
                    assert one.distance is not None
                    assert one.limit is not None
                    assert 0 < one.distance < one.limit
                    assert (one.acquired, one.basis) == ("2026-02", alone.analysis.preferred[target])
                    assert one.scanner.startswith("Scanner works, Magnet 1, ")
            found = compare_models(node.store.model_answers())
            assert [(one.target, one.studies) for one in found.models] == [(one, 2) for one in sorted(Target)]
            assert [one.group for one in found.by_month][:2] == ["2026-01", "2026-02"]


def test_a_study_that_is_read_again_with_the_next_model_has_its_answers_only(
    alone: Configuration, bundles: tuple[Path, Path]
) -> None:
    with quick_node(with_shadow(alone, bundles[1]), analyse="by_templates") as node:
        send(node.port, *images_by_hand(STUDY))
        delivered(node)
        assert len(node.store.model_answers()) == 2 * len(Target)
    swapped = replace(alone, models=ModelSettings(bundles[1]))
    with quick_node(swapped, analyse="by_templates") as node:
        restart_study(node.store, STUDY, SystemClock().now())
        wait_until(lambda: len(node.store.model_answers()) == len(Target))
        assert {one.answer.bundle for one in node.store.model_answers()} == {digest_of(bundles[1])}


def test_without_a_chosen_model_a_shadow_answers_all_the_same(
    alone: Configuration, bundles: tuple[Path, Path]
) -> None:
    none = with_shadow(replace(alone, models=ModelSettings(None)), bundles[1])
    with quick_node(none, analyse="by_templates") as node:
        send(node.port, *images_by_hand(STUDY))
        made = delivered(node)
        assert {one.answer.role for one in node.store.model_answers()} == {Role.SHADOW}
        assert not any(b"candidate" in content for content in made.values())


def raises(*_arguments: object) -> tuple[ModelAnswer, ...]:
    raise ValueError("a message that quotes PLANTED^NAME")


def faults(node: Node) -> list[KeptAnswer]:
    return [one for one in node.store.model_answers() if one.answer.state is AnswerState.FAULT]


def test_a_shadow_that_fails_is_a_fault_of_its_own_and_the_study_is_reported(
    alone: Configuration, bundles: tuple[Path, Path]
) -> None:
    settings, ask = with_shadow(alone, bundles[1]), f"{WORKER}:{raises.__name__}"
    with quick_node(settings, analyse="by_templates", ask_shadow=ask) as node:
        send(node.port, *images_by_hand(STUDY))
        delivered(node)
        assert {one.answer.target for one in faults(node)} == set(Target)
        for one in faults(node):
            assert (one.answer.bundle, one.answer.name) == (digest_of(bundles[1]), "candidate")
            assert (one.answer.reasons, one.answer.probability) == (("ValueError",), None)
        assert set(kept(node, Role.CHOSEN)) == set(Target)


def test_a_node_does_not_start_with_a_damaged_shadow(alone: Configuration, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="is not complete"):
        quick_node(with_shadow(alone, tmp_path / "gone"))
