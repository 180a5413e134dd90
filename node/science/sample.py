"""Simulated lumbar spine MR studies as DICOM files, with their true masks and a cohort table."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK

from analysis.itk import to_image
from analysis.phantom import (
    SCANNERS,
    Protocol,
    Resolution,
    Scanner,
    SimulatedPatient,
    SimulatedSeries,
    cohort,
    draw_anatomy,
    simulate,
    vary,
)
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid

__all__ = ["CsvRow", "Sample", "write_sample"]

COMMENTS = "SIMULATED DATA: computed by OsteoNode, no living person. For software tests, not for medical use."
_PARALLEL_FROM = 4
_PROCESSES = 2
_README = """Simulated lumbar spine MR, computed by OsteoNode. No person stands behind these images.

cohort.csv   one line per patient; bmd_mg_cm3 is the trabecular density that the images were made from
studies/     one folder per study, one folder per series, DICOM
truth/       masks on the grid of the series of the same name (NIfTI): *_labels holds vertebral bodies
             (1 to 5 = L1 to L5, 6 = S1, 7 = T12, 8 = T11), *_csf the cerebrospinal fluid

They test software. They can neither support nor refute a medical claim.
"""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One line of the cohort table.

    Attributes
    ----------
    patient_id : str
        Patient ID, the same as in the images.
    study : str
        Folder of the study, relative to the table.
    bmd_mg_cm3 : float
        Trabecular bone mineral density, as QCT would measure it.
    age : int
        In years.
    sex : str
        "F" or "M".
    scanner, site : str
        Scanner and hospital that the images name.
    simulated : str
        Always "yes", so that the card of a model trained on this table says so.
    """

    patient_id: str
    study: str
    bmd_mg_cm3: float
    age: int
    sex: str
    scanner: str
    site: str
    simulated: str = "yes"


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample that was written.

    Attributes
    ----------
    table : Path
        The cohort table.
    rows : tuple of CsvRow
        Its lines.
    """

    table: Path
    rows: tuple[CsvRow, ...]


@dataclass(frozen=True, slots=True)
class _Order:
    """The input of the process that writes one patient."""

    out: Path
    patient: SimulatedPatient
    seed: int
    resolution: Resolution


def write_sample(
    out: Path,
    patients: int,
    seed: int,
    report_progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    resolution: Resolution | None = None,
) -> Sample:
    """Write a simulated cohort.

    Parameters
    ----------
    out : Path
        Output folder; created if missing. Existing files are overwritten.
    patients : int
        Number of patients.
    seed : int
        Equal seeds give byte-identical files.
    report_progress : callable
        Called with the number of patients done and the total.
    resolution : Resolution, optional
        Resolution of the anatomy model; tests use a coarse one, which is faster.

    Returns
    -------
    Sample
        The cohort table and its rows.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "truth").mkdir(exist_ok=True)
    (out / "README.txt").write_text(_README, encoding="utf-8")
    orders = [_Order(out, patient, seed, resolution or Resolution()) for patient in cohort(patients, seed)]
    rows = []
    report_progress(0, patients)
    for row in _carry_out(orders):
        rows.append(row)
        report_progress(len(rows), patients)
    return Sample(_write_table(out / "cohort.csv", rows), tuple(rows))


def _carry_out(orders: list[_Order]) -> Iterator[CsvRow]:
    if len(orders) < _PARALLEL_FROM:
        yield from map(_write_patient, orders)
        return
    # Spawned, because a fork of a process with threads may hang.
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write_patient, orders)


def _write_table(path: Path, rows: list[CsvRow]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CsvRow.__slots__)
        writer.writerows([getattr(row, name) for name in CsvRow.__slots__] for row in rows)
    return path


def _write_patient(order: _Order) -> CsvRow:
    patient = order.patient
    name = f"SIM{patient.number:04d}"
    rng = np.random.default_rng((order.seed, patient.number, 1))
    scanner = SCANNERS[(patient.number - 1) % len(SCANNERS)]
    maps = draw_anatomy(patient, order.resolution)
    planned = (
        ("localiser", scanner.localiser),
        ("t1_sag", vary(scanner.t1, rng)),
        ("t2_sag", vary(scanner.t2, rng)),
    )
    folder = order.out / "studies" / name
    for number, (series, protocol) in enumerate(planned, start=1):
        image = simulate(patient, scanner, protocol, rng, maps)
        identity = _identity(order, scanner, protocol, number)
        _write_series(folder / series, image, identity)
        if series != "localiser":
            _write_truth(order.out / "truth" / f"{name}_{series}", image)
    return CsvRow(
        patient_id=name,
        study=folder.relative_to(order.out).as_posix(),
        bmd_mg_cm3=round(patient.bmd_mg_cm3, 1),
        age=int(patient.age_y),
        sex=patient.sex.value,
        scanner=f"{scanner.vendor} {scanner.model}",
        site=scanner.site,
    )


def _identity(order: _Order, scanner: Scanner, protocol: Protocol, number: int) -> ImageIdentity:
    patient = order.patient
    words = ("osteonode sample", str(order.seed), str(patient.number))
    return ImageIdentity(
        patient_id=f"SIM{patient.number:04d}",
        patient_name=f"SIMULATED^{patient.number:04d}",
        birth_date=f"{2026 - int(patient.age_y) - 1}0701",
        sex=patient.sex.value,
        age=f"{int(patient.age_y):03d}Y",
        study_uid=derive_uid("study", *words),
        series_uid=derive_uid("series", *words, str(number), protocol.description),
        frame_of_reference_uid=derive_uid("frame of reference", *words),
        study_date="20260105",
        study_time=f"{8 + patient.number % 9:02d}{patient.number % 60:02d}00",
        accession_number=f"SIM{order.seed % 10**6}A{patient.number:05d}",
        study_description="SIMULATED lumbar spine",
        series_number=number,
        comments=COMMENTS,
        station=scanner.site.upper(),
        institution="SIMULATED",
    )


def _write_series(folder: Path, image: SimulatedSeries, identity: ImageIdentity) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(mr_images(image.volume, image.facts, identity), start=1):
        dataset.save_as(folder / f"IM{number:04d}.dcm", enforce_file_format=True)


def _write_truth(stem: Path, image: SimulatedSeries) -> None:
    for kind, mask in (("labels", image.labels), ("csf", image.csf)):
        SimpleITK.WriteImage(to_image(mask, image.volume.grid), f"{stem}_{kind}.nii.gz")
