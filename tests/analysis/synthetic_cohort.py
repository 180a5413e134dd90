"""Feature tables and findings made of random numbers, without images."""

from dataclasses import replace

import numpy as np

from analysis.cohort.feature_table import FeatureTable, SequenceTable
from analysis.domain.acquisition import AcquisitionFacts, Contrast, Identification, Plane
from analysis.domain.findings import BoneQuality, SeriesFindings, SeriesInput
from analysis.domain.reason import quoted
from analysis.domain.segmentation import Level, Region, Segmentation
from analysis.domain.volume import Grid, Volume
from analysis.settings import FeatureSettings

PROTOCOL = {"T1": (600.0, 10.0), "T2": (3500.0, 100.0)}


def synthetic_table(
    patients: int = 90, features: int = 30, *, effect: float = 1.5, seed: int = 0, simulated: bool = True
) -> FeatureTable:
    """Make a cohort whose features depend on the bone density; `effect` 0 removes the dependence."""
    rng = np.random.default_rng(seed)
    age = rng.normal(61, 12, patients)
    bmd = np.clip(135 - 1.4 * (age - 35) + rng.normal(0, 27, patients), 20, 250)
    weakness = -(bmd - bmd.mean()) / bmd.std()
    sequences = {}
    for name, (tr, te) in PROTOCOL.items():
        hidden = rng.normal(size=(patients, 6))
        hidden[:, 0] += effect * weakness
        values = hidden @ rng.normal(size=(6, features)) + rng.normal(size=(patients, features))
        sequences[name] = SequenceTable(
            names=tuple(f"original_firstorder_{number}_mean" for number in range(features)),
            values=values,
            repeated=np.full_like(values, np.nan),
            vbq=2.8 + 0.3 * effect * weakness + rng.normal(0, 0.5, patients),
            repetition_time_ms=tr * rng.uniform(0.95, 1.05, patients),
            echo_time_ms=te * rng.uniform(0.95, 1.05, patients),
            field_strength_t=rng.choice([1.5, 3.0], patients),
        )
    return FeatureTable(
        patient_ids=tuple(f"P{number:03}" for number in range(patients)),
        bmd_mg_cm3=bmd,
        age=age,
        female=(rng.random(patients) < 0.675).astype(np.float64),
        sequences=sequences,
        features_digest=FeatureSettings().digest(),
        simulated=simulated,
    )


def findings_of(sequence: str, row: int, table: FeatureTable) -> SeriesFindings:
    """Return the findings that measuring one patient of the table would give."""
    grid = Grid((5, 20, 20), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for level in range(1, 6):
        labels[1:4, 3 * level : 3 * level + 2, 4:12] = level
    regions = tuple(Region(Level(level), 12.0, (0.0, 0.0, 0.0), 0.9, usable=True) for level in range(1, 6))
    values = table.sequences[sequence]
    facts = AcquisitionFacts(
        repetition_time_ms=float(values.repetition_time_ms[row]),
        echo_time_ms=float(values.echo_time_ms[row]),
        field_strength_t=float(values.field_strength_t[row]),
    )
    volume = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    return SeriesFindings(
        source=SeriesInput("1.2.3", facts, volume, "0" * 64),
        identification=Identification(
            Contrast(sequence), Plane.SAGITTAL, lumbar=True, score=1.0, reasons=(quoted("synthetic"),)
        ),
        segmentation=Segmentation(
            labels, grid, regions, level_confidence=0.9, levels_certain=True, csf=None, concerns=(), method=""
        ),
        measurements=(),
        bone_quality=BoneQuality(float(values.vbq[row]), (Level.L1,), 100.0, 0.9),
        patient_features=dict(zip(values.names, values.values[row].tolist(), strict=True)),
        mid_slice=2,
        minimum_usable_levels=3,
    )


def with_facts(found: SeriesFindings, **facts: float | None) -> SeriesFindings:
    """Return the same findings with other header facts."""
    return replace(found, source=replace(found.source, facts=replace(found.source.facts, **facts)))  # type: ignore[arg-type]


def with_segmentation(found: SeriesFindings, **changes: object) -> SeriesFindings:
    """Return the same findings with another segmentation."""
    return replace(found, segmentation=replace(found.segmentation, **changes))  # type: ignore[arg-type]
