"""How much memory the steps of an analysis take on top of the image, in images of single precision.

A step that makes one more copy of the image, or a mask of it for each vertebra, costs hundreds of megabytes
in a series of 60 slices of 1024². What is counted does not depend on the machine.
"""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from analysis.domain.acquisition import AcquisitionFacts
from analysis.domain.findings import BoneQuality, SeriesFindings
from analysis.domain.segmentation import CsfSample, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.measurement.bodies import measure_bodies
from analysis.measurement.focal import focal_reasons
from analysis.measurement.midsagittal import mid_slice
from analysis.measurement.radiomics import extract
from analysis.measurement.tissue_order import tissue_order
from analysis.measurement.vbq import bone_quality
from analysis.pairing.correspondence import Alignment, CommonBodies
from analysis.settings import AnalysisSettings
from dicom_templates.objects.common_modules import ObjectIdentity
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.objects.segmentation import segmentation_object
from dicom_templates.origin.provenance import provenance_of
from dicom_templates.origin.source_series import source_series
from dicom_templates.pictures.overlay import draw_overlay
from dicom_templates.words.texts import Texts
from node.decode import decode, scan
from tests.analysis.synthetic_bodies import LUMBAR, SAGITTAL_AXES, csf_on, labels_on, segmentation_of
from tests.dicom_templates.cases import headers_of, make_case

WHERE = Grid((24, 480, 720), (2.2, 0.4, 0.4), (-26.0, -45.0, 80.0), SAGITTAL_AXES)
"""The bodies are a tenth of it, as in a fine image of the lumbar spine."""
IMAGE_BYTES = 4 * 24 * 480 * 720
STORED = 2 / 4
"""An image in 16 bits."""
LABELS = 1 / 4

QUALITY = BoneQuality(2.7, LUMBAR[:4], 74.0, 0.9)
FEATURES = replace(AnalysisSettings().features, log_sigma_mm=(2.0,))


@pytest.fixture(scope="module")
def large() -> SeriesFindings:
    """Return a series with its bodies, in 16 bits as a scanner makes it."""
    like = make_case(slices=4, size=32).findings.series[0]
    labels = labels_on(WHERE)
    voxels = noise()
    voxels[labels > 0] += 200
    segmentation = segmentation_of(labels, WHERE, csf=CsfSample(csf_on(WHERE), 1.0))
    source = replace(like.source, volume=Volume(voxels, WHERE))
    return replace(like, source=source, segmentation=segmentation, mid_slice=WHERE.shape[0] // 2)


def noise() -> npt.NDArray[np.uint16]:
    return np.random.default_rng(3).integers(40, 80, WHERE.shape, dtype=np.uint16)


def peak_of(step: Callable[[], object]) -> float:
    """Return the peak of what a step allocates, with what it returns, in images of single precision."""
    step()  # what it imports, and keeps for later calls, does not count
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1] / IMAGE_BYTES
    finally:
        tracemalloc.stop()


MEASURING: dict[str, tuple[Callable[[Volume, Segmentation], object], float]] = {
    "score": (lambda volume, found: bone_quality(volume, found, minimum_usable_levels=3), 0.15),
    "tissue order": (tissue_order, 0.15),
    "middle": (lambda _, found: mid_slice(found), 0.05),
    "bodies": (lambda volume, found: measure_bodies(volume, found, QUALITY, {}), 0.08),
    "labels": (lambda _, found: replace(found, concerns=()), 0.03),
    "pairs": (lambda _, found: CommonBodies.of(found, found, Alignment.by_headers()), 0.4),
    # A dozen values in double precision for each voxel of the bodies.
    "focal signal": (focal_reasons, 0.7),
    "radiomics": (lambda volume, found: extract(volume, found, FEATURES), 0.45),
}
"""The steps, and what each may take."""


@pytest.mark.parametrize("name", MEASURING)
def test_a_measurement_takes_a_part_of_the_image(name: str, large: SeriesFindings) -> None:
    step, limit = MEASURING[name]
    assert peak_of(lambda: step(large.source.volume, large.segmentation)) < limit


def test_the_overlay_takes_a_part_of_the_image(large: SeriesFindings) -> None:
    assert peak_of(lambda: draw_overlay(large, Texts("en"))) < 0.9


def test_a_segmentation_object_takes_its_frames_twice_and_one_label_for_each_voxel(
    large: SeriesFindings,
) -> None:
    case = make_case(slices=4, size=32)
    source = source_series(large, headers_of(large))
    provenance = provenance_of(case.findings, "1.2", case.options)
    identity = ObjectIdentity("1.2.3", "1.2.4", 9104, "SEG")
    frames = (len(LUMBAR) + 1) * LABELS / 8
    peak = peak_of(lambda: segmentation_object(large, source, provenance, identity))
    assert peak < 2 * frames + LABELS + 0.15


def test_decoding_takes_the_stored_values_and_a_few_slices(tmp_path: Path) -> None:
    facts = AcquisitionFacts(repetition_time_ms=600, echo_time_ms=10, scanning_sequence=("SE",))
    identity = ImageIdentity("1", "A^B", "1.2.3", "1.2.3.4", "1.2.3.5", "20260101", "080000")
    volume = Volume(noise().astype(np.float32), WHERE)
    for number, dataset in enumerate(mr_images(volume, facts, identity)):
        dataset.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    (series,), _ = scan(tuple(tmp_path.iterdir()))
    assert peak_of(lambda: decode(series)) < STORED + 0.3
    # The slices are in the order that goes to the right.
    assert np.array_equal(decode(series)[0].volume.voxels, noise()[::-1])
