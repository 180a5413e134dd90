"""Findings made by hand of images that are really decoded: the science takes a minute."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydicom import Dataset

from analysis.domain.findings import Findings, Prediction, SeriesFindings, Verdict
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure, TrainingDistance, departures_by_basis
from analysis.prediction.bundle import digest_of
from analysis.prediction.predict import read_study
from analysis.settings import AnalysisSettings
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from node.analyse.findings import SOFTWARE, DeparturesOf, departures_in, scanner_by_basis
from node.decode import SeriesHeaders, decode
from tests.dicom_templates.cases import FACTS, STUDY, make_case

__all__ = ["MOVED", "images_by_hand", "science"]

MOVED = "Moved"


def images_by_hand(
    study: str = STUDY, day: str = "20260105", *, model: str = "", **identity: str
) -> list[Dataset]:
    """Make a T1 and a T2 series of 7 images each."""
    images: list[Dataset] = []
    for number, found in enumerate(make_case(slices=7, size=64).findings.series, start=1):
        told: dict[str, Any] = {"patient_id": "4711", "patient_name": "PLANTED^NAME", **identity}
        of_series = ImageIdentity(
            **told, study_uid=study, series_uid=f"{study}.{number}", frame_of_reference_uid=f"{study}.9",
            study_date=day, study_time="093000",
        )  # fmt: skip
        facts = FACTS[found.identification.contrast]
        if model:
            facts = replace(facts, vendor="Scanner works", model=model)
        images += mr_images(found.source.volume, facts, of_series)
    return images


def science(
    series: Sequence[SeriesHeaders],
    settings: AnalysisSettings,
    _place: object,
    bundle: Path | None,
    *_progress: object,
    remarks: tuple[Reason, ...] = (),
    departures_of: DeparturesOf = lambda _scanner, _bundle: (),
) -> tuple[Findings, dict[str, Sequence[Dataset]]]:
    """Take the place of `node.analyse.findings.analyse_series`: the same findings for any pixels.

    The images of a scanner whose model name begins with `MOVED` lie far from the training, in T1.
    """
    decoded = {one.series_uid.rpartition(".")[2]: decode(one) for one in series}
    findings = make_case(slices=7, size=64).findings
    assert findings.model is not None
    sources: dict[str, Sequence[Dataset]] = {
        source.series_uid: headers for source, headers in decoded.values()
    }
    model = None if bundle is None else replace(findings.model, digest=digest_of(bundle))
    scanners = scanner_by_basis(
        {
            one.identification.contrast.value: decoded[str(number)][1][0]
            for number, one in enumerate(findings.series, start=1)
        }
    )
    departures = () if model is None else departures_in(scanners, model.digest, departures_of)
    name = str(next(iter(sources.values()))[0].get("ManufacturerModelName", ""))
    distance = 4.5 if name.startswith(MOVED) else 1.0
    measured = tuple(
        _without_doubts(replace(one, source=decoded[str(number)][0]))
        for number, one in enumerate(findings.series, start=1)
    )
    found = replace(
        findings,
        predictions=() if model is None else _answers(findings.predictions, departures),
        distances=(TrainingDistance("T1", distance, 5.0, 4.0, in_protocol=True),),
        departures=departures,
        remarks=(*findings.remarks, *remarks),
        series=measured,
        readings=read_study(measured, settings),
        model=model,
        configuration_digest=settings.digest(),
        software=SOFTWARE,
    )
    return found, sources


def _answers(predictions: Sequence[Prediction], departures: Sequence[Departure]) -> tuple[Prediction, ...]:
    left = departures_by_basis(departures)
    return tuple(
        replace(
            one, verdict=Verdict.INDETERMINATE, probability=None, interval=None,
            reasons=(left[one.sequence].reason,),
        )
        if one.sequence in left
        else one
        for one in predictions
    )  # fmt: skip


def _without_doubts(found: SeriesFindings) -> SeriesFindings:
    regions = tuple(replace(one, concerns=()) for one in found.segmentation.regions)
    return replace(found, segmentation=replace(found.segmentation, regions=regions))
