"""Simulated studies for the benchmarks, of the usual protocols or of a given size."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.phantom import SCANNERS, cohort, draw_anatomy, simulate
from dicom_templates.objects.mr_image import ImageIdentity, mr_images
from dicom_templates.origin.uids import derive_uid
from node.science.sample import write_sample

__all__ = ["add_protocol_options", "simulate_studies"]

_USUAL_SLICES = 20


def add_protocol_options(options: argparse.ArgumentParser) -> None:
    """Add ``--slices`` and ``--size``."""
    options.add_argument("--slices", type=int, help="of each series; by default as the protocols have it")
    options.add_argument("--size", type=int, help="rows and columns of each slice")


def simulate_studies(
    out: Path, patients: int, *, seed: int, slices: int | None = None, size: int | None = None
) -> None:
    """Write studies with T1 and T2 below ``out/studies``.

    Parameters
    ----------
    out : Path
        Output folder; created if missing.
    patients : int
        Number of studies.
    seed : int
        Equal seeds give equal files.
    slices, size : int, optional
        Slices, and rows and columns, of each series. Without either, the studies are those of
        `osteonode sample`, whose protocols differ.
    """
    if slices is None and size is None:
        write_sample(out, patients, seed)
        return
    for patient in cohort(patients, seed):
        scanner = SCANNERS[(patient.number - 1) % len(SCANNERS)]
        rng, maps = np.random.default_rng((seed, patient.number)), draw_anatomy(patient)
        for number, usual in enumerate((scanner.t1, scanner.t2), start=1):
            # More slices are thinner ones: no patient is wider for it.
            thinner = min(1.0, _USUAL_SLICES / (slices or usual.slices))
            protocol = replace(
                usual,
                slices=slices or usual.slices,
                matrix=size or usual.matrix,
                thickness_mm=usual.thickness_mm * thinner,
                spacing_mm=usual.spacing_mm * thinner,
            )
            image = simulate(patient, scanner, protocol, rng, maps)
            words = ("benchmark", str(seed), str(patient.number), str(slices), str(size))
            identity = ImageIdentity(
                patient_id=f"SIM{patient.number:04d}",
                patient_name=f"SIMULATED^{patient.number:04d}",
                study_uid=derive_uid("study", *words),
                series_uid=derive_uid("series", *words, str(number)),
                frame_of_reference_uid=derive_uid("frame of reference", *words),
                study_date="20260105",
                study_time="090000",
                series_number=number,
            )
            folder = out / "studies" / f"SIM{patient.number:04d}" / str(number)
            folder.mkdir(parents=True)
            for place, dataset in enumerate(mr_images(image.volume, image.facts, identity), start=1):
                dataset.save_as(folder / f"IM{place:04d}.dcm", enforce_file_format=True)
