"""Findings made by hand, small but with a valid geometry, and the source headers that match them."""

from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.domain.examination import Scan
from analysis.domain.findings import (
    AnswerFigures,
    BoneQuality,
    Findings,
    LevelMeasurements,
    ModelIdentity,
    Outline,
    Prediction,
    ProtocolRange,
    SeriesFindings,
    SeriesInput,
    SeriesRefusal,
    Target,
    Verdict,
)
from analysis.domain.priors import compare, examination_of
from analysis.domain.reason import Reason
from analysis.domain.remoteness import Departure
from analysis.domain.segmentation import CsfSample, Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume
from dicom_templates.options import ReportOptions

if TYPE_CHECKING:
    from hypothesis.vendor.pretty import RepresentationPrinter

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = {Contrast.T1: f"{STUDY}.1", Contrast.T2: f"{STUDY}.2"}
FACTS = {
    Contrast.T1: AcquisitionFacts(repetition_time_ms=550.0, echo_time_ms=10.0, field_strength_t=1.5),
    Contrast.T2: AcquisitionFacts(repetition_time_ms=3500.0, echo_time_ms=102.0, field_strength_t=1.5),
}
FEATURES = (
    "original_glcm_Contrast",
    "log-2D-in-body-2-0-mm_firstorder_Variance",
    "original_firstorder_Median",
)
LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4, Level.L5)


@dataclass(frozen=True)
class Case:
    """Findings with the headers of their sources."""

    findings: Findings
    sources: dict[str, list[Dataset]]
    options: ReportOptions

    def _repr_pretty_(self, printer: "RepresentationPrinter", cycle: bool) -> None:  # noqa: ARG002, FBT001
        """Print a failing example without headers and voxels; hypothesis gives up on a longer text."""
        series = " and ".join(found.identification.contrast.value for found in self.findings.series)
        printer.text(f"<Case: {series}, {', '.join(map(repr, self.findings.predictions))}>")


def grid_of(slices: int, size: int) -> Grid:
    """Make a sagittal stack from right to left; row indices increase to the feet, columns to the back."""
    axes = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    spacing = 280.0 / size
    return Grid((slices, size, size), (4.4, spacing, spacing), (-4.4 * (slices - 1) / 2, -140.0, 140.0), axes)


def labels_on(grid: Grid) -> np.ndarray:
    """Draw six boxes below each other, about as large as vertebral bodies."""
    slices, size, _ = grid.shape
    labels = np.zeros(grid.shape, dtype=np.uint8)
    pitch, height, width = size // 8, size // 11, size // 8
    for place, level in enumerate((*LUMBAR, Level.S1)):
        top = size // 8 + place * pitch
        left = size // 2 - width // 2 + place * size // 100
        labels[slices // 4 : -(slices // 4), top : top + height, left : left + width] = level
    return labels


def outline_of(mask: np.ndarray, index: int) -> Outline:
    rows, columns = np.nonzero(mask[index])
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return Outline(index, np.array(corners, dtype=np.float64))


def reasons_of(contrast: Contrast) -> tuple[Reason, ...]:
    facts = FACTS[contrast]
    timing = Reason(
        "timing", repetition_ms=facts.repetition_time_ms or 0.0, echo_ms=facts.echo_time_ms or 0.0
    )
    sagittal = Reason("plane_by_orientation", plane=Plane.SAGITTAL)
    return sagittal, Reason("weighted_by_timing", timing=timing, contrast=contrast)


def series_findings(contrast: Contrast, *, slices: int, size: int) -> SeriesFindings:
    """Make an analysed series with L1 to L5 and S1, of which L2 has a concern."""
    grid = grid_of(slices, size)
    labels = labels_on(grid)
    voxels = np.random.default_rng(7).normal(80, 12, grid.shape).astype(np.float32) + 120 * (labels > 0)
    csf = np.zeros(grid.shape, dtype=np.bool_)
    csf[slices // 2, size // 2 : size // 2 + 9, size // 2 + size // 7 : size // 2 + size // 6] = True
    regions = tuple(
        Region(
            level,
            float((labels == level).sum()) * grid.voxel_ml,
            (0.0, 0.0, 0.0),
            0.9,
            usable=level.lumbar,
            concerns=(Reason("touches_edge"),) if level is Level.L2 else (),
        )
        for level in (*LUMBAR, Level.S1)
    )
    measurements = tuple(
        LevelMeasurements(
            level=level,
            volume_ml=float((labels == level).sum()) * grid.voxel_ml,
            mean_signal=200.25 + level,
            median_signal=199.5 + level,
            sd_signal=11.75,
            vbq=2.5 + level / 16,
            features={name: float(level) + place / 8 for place, name in enumerate(FEATURES)},
            outline=outline_of(labels == level, slices // 2),
        )
        for level in LUMBAR
    )
    return SeriesFindings(
        source=SeriesInput(SERIES[contrast], FACTS[contrast], Volume(voxels, grid), f"digest-{contrast}"),
        identification=Identification(contrast, Plane.SAGITTAL, True, 0.97, reasons_of(contrast)),
        segmentation=Segmentation(
            labels, grid, regions, 0.93, True, CsfSample(csf, 0.9), (), "OsteoNode segmenter 1"
        ),
        measurements=measurements,
        bone_quality=BoneQuality(2.71, LUMBAR[:4], 74.0, 0.9),
        patient_features={f"{name}_mean": 1.0 for name in FEATURES},
        mid_slice=slices // 2,
        minimum_usable_levels=3,
    )


def headers_of(found: SeriesFindings, **extra: object) -> list[Dataset]:
    """Make source headers as a scanner writes them, one per slice."""
    grid = found.source.volume.grid
    return [_header(found, index, grid.to_mm([index, 0, 0]), extra) for index in range(grid.shape[0])]


def _header(found: SeriesFindings, index: int, position: np.ndarray, extra: dict[str, object]) -> Dataset:
    grid = found.source.volume.grid
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID = MRImageStorage
    header.SOPInstanceUID = f"{found.source.series_uid}.{index + 1}"
    header.StudyInstanceUID = STUDY
    header.SeriesInstanceUID = found.source.series_uid
    header.FrameOfReferenceUID = f"{STUDY}.9"
    header.Modality = "MR"
    header.Manufacturer = "Scanner works"
    header.ManufacturerModelName = "Magnet 1"
    header.PatientName = "Müller^Jörg"
    header.PatientID = "4711"
    header.IssuerOfPatientID = "CLINIC"
    header.PatientBirthDate = "19640229"
    header.PatientSex = "M"
    header.PatientAge = "062Y"
    header.PatientWeight = "81.5"
    header.AccessionNumber = "A100"
    header.StudyID = "1"
    header.StudyDate = "20260105"
    header.StudyTime = "093000"
    header.StudyDescription = "MRT LWS"
    header.ReferringPhysicianName = "Arzt^Berta"
    header.BodyPartExamined = "LSPINE"
    header.SeriesNumber = 3
    header.InstanceNumber = index + 1
    header.Rows, header.Columns = grid.shape[1], grid.shape[2]
    header.PixelSpacing = [f"{grid.spacing_mm[1]:.6g}", f"{grid.spacing_mm[2]:.6g}"]
    header.SliceThickness = "4.0"
    header.ImagePositionPatient = [f"{value:.6g}" for value in position]
    header.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    for keyword, value in extra.items():
        setattr(header, keyword, value)
    return header


def enhanced_header(headers: list[Dataset]) -> Dataset:
    """Make the header of one enhanced object, with a frame for each of classic headers."""
    enhanced = deepcopy(headers[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(enhanced, keyword)
    enhanced.SOPClassUID = EnhancedMRImageStorage
    enhanced.SOPInstanceUID = "1.2.3.4.5"
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(headers[0], "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(headers[0], "PixelSpacing", "SliceThickness")]
    enhanced.SharedFunctionalGroupsSequence = [shared]
    enhanced.PerFrameFunctionalGroupsSequence = []
    for header in headers:
        frame = Dataset()
        frame.PlanePositionSequence = [_only(header, "ImagePositionPatient")]
        enhanced.PerFrameFunctionalGroupsSequence.append(frame)
    return enhanced


def _only(header: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, header[keyword].value)
    return item


MODEL = ModelIdentity(
    name="OsteoNode demonstration model",
    version="1",
    digest="ab" * 32,
    cohort="400 simulated patients",
    intended_use="demonstration of the software",
    simulated=True,
    thresholds_mg_cm3={Target.OSTEOPOROSIS: 80.0, Target.ABNORMAL_DENSITY: 120.0},
)
ANSWERS = AnswerFigures(
    patients=160,
    present=48,
    answered=96,
    values={"sensitivity": 0.84, "specificity": 0.81, "PPV": 0.62, "NPV": 0.93, "answered": 0.6, "AUC": 0.82},
    intervals={
        "sensitivity": (0.7, 0.93),
        "specificity": (0.72, 0.88),
        "PPV": (0.5, 0.73),
        "NPV": (0.86, 0.97),
        "answered": (0.52, 0.67),
        "AUC": (0.74, 0.88),
    },
)
BY_SEQUENCE = {"T1": ANSWERS, "T2": replace(ANSWERS, values={**ANSWERS.values, "AUC": 0.85})}
TRAINED_ON = ProtocolRange((400.0, 750.0), (8.0, 20.0), (1.5, 3.0))
PREDICTIONS = (
    Prediction(
        Target.OSTEOPOROSIS,
        "T1",
        Contrast.T1,
        Verdict.BELOW,
        0.125,
        (0.05, 0.25),
        0.4,
        (),
        (f"{FEATURES[0]}_mean",),
        ANSWERS,
        BY_SEQUENCE,
        {"T1": TRAINED_ON},
    ),
    Prediction(
        Target.ABNORMAL_DENSITY,
        "T2",
        Contrast.T2,
        Verdict.ABOVE,
        0.61,
        (0.45, 0.77),
        0.5,
        (),
        (f"{FEATURES[1]}_sd",),
        ANSWERS,
        BY_SEQUENCE,
        {"T2": TRAINED_ON},
    ),
)


SET_ASIDE = SeriesRefusal(
    "1.2.3.4",
    Reason("series", plane=Plane.AXIAL, contrast=Contrast.T2, slices=30),
    (Reason("plane_by_orientation", plane=Plane.AXIAL),),
)


def make_case(*, slices: int = 7, size: int = 96, language: str = "en") -> Case:
    """Make findings of T1 and T2 with their sources."""
    series = tuple(
        series_findings(contrast, slices=slices, size=size) for contrast in (Contrast.T1, Contrast.T2)
    )
    findings = Findings(
        series=series,
        set_aside=(SET_ASIDE,),
        predictions=PREDICTIONS,
        model=MODEL,
        configuration_digest="cd" * 32,
        software="OsteoNode 0.1.0",
    )
    return Case(
        findings,
        {found.source.series_uid: headers_of(found) for found in series},
        ReportOptions(made=datetime(2026, 1, 5, 9, 30), language=language),  # noqa: DTZ001
    )


DAY = date(2026, 1, 5)


def with_prior(case: Case) -> Case:
    """Add an earlier examination: its T1 is comparable, its T2 is of another scanner, its model the same."""
    now = examination_of(case.findings, STUDY, person="ab" * 32, day=DAY)
    scan = Scan("Scanner works", "Magnet 1", 1.5, 550.0, 10.0, ("2D", "SE"))
    scores = tuple(replace(one, sound=True, scan=scan) for one in now.scores)
    then = replace(
        now,
        study_uid=f"{STUDY}.99",
        day=date(2024, 3, 1),
        scores=tuple(
            replace(one, value=2.475, scan=scan if one.contrast is Contrast.T1 else replace(scan, model="2"))
            for one in scores
        ),
        probabilities=((Target.OSTEOPOROSIS, 0.08),),
    )
    compared = compare(then, replace(now, scores=scores))
    return replace(case, findings=replace(case.findings, prior=compared))


def with_departure(case: Case) -> Case:
    """Let the scanner have left the training range of the model in T1."""
    return replace(case, findings=replace(case.findings, departures=(Departure("T1", 12, 30),)))


def items(dataset: Dataset) -> list[Dataset]:
    """List all content items of a document, parents first."""
    found: list[Dataset] = []
    for item in dataset.get("ContentSequence", ()):
        found += [item, *items(item)]
    return found


def texts_of(dataset: Dataset) -> list[str]:
    return [str(one.TextValue) for one in items(dataset) if one.ValueType == "TEXT"]
