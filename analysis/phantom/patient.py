"""Simulated patients: from age and sex to bone density and marrow fat, and a cohort like the paper's."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.phantom.spine import Spine, draw_spine

__all__ = ["Sex", "SimulatedPatient", "bone_volume_fraction", "cohort", "draw_patient"]

FEMALE_FRACTION = 0.675
AGE_MEAN_Y, AGE_SD_Y = 61.27, 12.72
AGE_RANGE_Y = (22.0, 90.0)


class Sex(StrEnum):
    """Sex with the values of DICOM Patient's Sex."""

    FEMALE = "F"
    MALE = "M"


_BMD_AGE_Y = (25.0, 32.0, 45.0, 55.0, 65.0, 80.0, 88.0)
_BMD_MG_CM3 = {
    Sex.FEMALE: (183.0, 185.4, 165.0, 128.0, 92.0, 62.4, 52.0),
    Sex.MALE: (173.1, 176.6, 154.0, 135.0, 116.0, 92.1, 82.0),
}
_BMD_SD_MG_CM3 = 32.0
"""Trabecular QCT density by age in East Asian people. The values at 32 and 80 years are from 69,095 people in
China (Cheng 2021, doi 10.1002/jbmr.4187), that of men at 25 years from 50,682 screened men (China, 2018 to
2019, QCT). The course in between and the spread were fitted to the prevalence of osteoporosis beyond 50 years
in the first study, 29.0 % of women and 13.5 % of men, and are otherwise general knowledge. Another study
found lower values in old women, about 50 mg/cm3 at 78 years (Wang 2024, Skeletal Radiol)."""
_BMD_RANGE_MG_CM3 = (12.0, 240.0)

_FAT_AGE_Y = (25.0, 35.0, 45.0, 55.0, 65.0, 75.0)
_FAT_PERCENT = {
    Sex.FEMALE: (27.2, 27.3, 34.0, 43.0, 53.0, 57.0),
    Sex.MALE: (32.0, 35.3, 39.0, 43.0, 46.0, 49.0),
}
"""Proton density fat fraction of lumbar marrow: Baum 2018 for the young, Griffith 2012 for women over 55."""
_FAT_SD_PERCENT = 10.0
"""Chosen so that the correlation with age, 0.61 in women and 0.34 in men, is near the published one at L5,
0.54 and 0.58 (103 volunteers, PMC7297969); that of men is lower because their means rise less."""
_RESIDUAL_CORRELATION = -0.40
"""Correlation of the residuals of bone density and marrow fat after age; chosen so that the pooled
correlation is in the published range of -0.56 to -0.82, and age, sex and fat do not determine the density."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedPatient:
    """One simulated patient.

    Attributes
    ----------
    number : int
        Number within a cohort, from 1.
    age_y : float
        Age in years.
    sex : Sex
        Female or male.
    bmd_mg_cm3 : float
        Trabecular bone mineral density as measured by QCT: the ground truth.
    fat_fraction : float
        Fat fraction of the lumbar marrow, 0 to 1.
    marrow_water_t1_ms, marrow_water_t2_ms : float
        Relaxation times of the marrow water, which vary between people of equal fat fraction.
    csf_gain_t1, csf_gain_t2 : float
        Signal of flowing CSF relative to still fluid (inflow on T1, dephasing on T2).
    subcutaneous_mm : float
        Thickness of the subcutaneous fat of the back at L3.
    muscle_fat : float
        Fat fraction of the paraspinal muscles, 0 to 1.
    spine : Spine
        Bones and discs.
    seed : int
        Seed of all textures, so that two series of one patient show the same anatomy.
    """

    number: int
    age_y: float
    sex: Sex
    bmd_mg_cm3: float
    fat_fraction: float
    marrow_water_t1_ms: float
    marrow_water_t2_ms: float
    csf_gain_t1: float
    csf_gain_t2: float
    subcutaneous_mm: float
    muscle_fat: float
    spine: Spine
    seed: int


def bone_volume_fraction(bmd_mg_cm3: float) -> float:
    """Return the volume fraction of mineralised bone, which gives no signal, in trabecular bone.

    Examples
    --------
    >>> round(bone_volume_fraction(100.0), 3)
    0.12
    """
    return 0.06 + 0.0006 * bmd_mg_cm3


def draw_patient(
    rng: np.random.Generator, *, number: int = 1, age_y: float | None = None, sex: Sex | None = None
) -> SimulatedPatient:
    """Draw one patient.

    Parameters
    ----------
    rng : Generator
        Source of all random values.
    number : int
        Number within a cohort.
    age_y, sex : float and Sex, optional
        Drawn like the cohort of the paper if missing.

    Returns
    -------
    SimulatedPatient
        Equal for the same state of `rng`.
    """
    if sex is None:
        sex = Sex.FEMALE if rng.random() < FEMALE_FRACTION else Sex.MALE
    if age_y is None:
        age_y = float(np.clip(rng.normal(AGE_MEAN_Y, AGE_SD_Y), *AGE_RANGE_Y))
    bone, fat_residual = rng.multivariate_normal(
        (0.0, 0.0), ((1.0, _RESIDUAL_CORRELATION), (_RESIDUAL_CORRELATION, 1.0))
    )
    bmd = np.interp(age_y, _BMD_AGE_Y, _BMD_MG_CM3[sex]) + _BMD_SD_MG_CM3 * bone
    bmd = float(np.clip(bmd, *_BMD_RANGE_MG_CM3))
    fat = np.interp(age_y, _FAT_AGE_Y, _FAT_PERCENT[sex]) + _FAT_SD_PERCENT * fat_residual
    fat_fraction = float(np.clip(fat / 100.0, 0.08, 0.85))
    return SimulatedPatient(
        number=number,
        age_y=age_y,
        sex=sex,
        bmd_mg_cm3=bmd,
        fat_fraction=fat_fraction,
        marrow_water_t1_ms=float(1200.0 * rng.lognormal(0.0, 0.10)),
        # Ruschke 2021: median 21.1 ms (11.2 to 42.5), shorter with more fat (r about -0.57).
        marrow_water_t2_ms=float(21.1 * np.exp(-0.9 * (fat_fraction - 0.45)) * rng.lognormal(0.0, 0.16)),
        # The spread is fitted to the published r of -0.49 between T1-VBQ and density (Yin 2023), the means to
        # `T1_VBQ_BY_DECADE`, and to a T2-VBQ of 0.55 to 0.60 as of old patients with fractures and of
        # their controls (Huang 2025).
        csf_gain_t1=float(0.91 * rng.lognormal(0.0, 0.12)),
        csf_gain_t2=float(0.83 * rng.lognormal(0.0, 0.14)),
        subcutaneous_mm=float(
            np.clip(rng.lognormal(2.65, 0.42) * (1.25 if sex is Sex.FEMALE else 1.0), 5, 48)
        ),
        muscle_fat=float(np.clip(0.05 + 0.0035 * (age_y - 30.0) + rng.normal(0.0, 0.06), 0.03, 0.45)),
        spine=draw_spine(rng, age_y=age_y, size=1.0 if sex is Sex.MALE else 0.92, bmd_mg_cm3=bmd),
        seed=int(rng.integers(2**63)),
    )


def cohort(patients: int, seed: int) -> tuple[SimulatedPatient, ...]:
    """Draw a cohort like the paper's: of 160 patients 52 men and 108 women, 61.27 ± 12.72 years old.

    Parameters
    ----------
    patients : int
        Size of the cohort.
    seed : int
        Equal seeds give equal cohorts. The proportion of women is exact, so the sex of a patient depends on
        the size of the cohort.

    Returns
    -------
    tuple of SimulatedPatient
        The patients, numbered from 1.
    """
    women = round(patients * FEMALE_FRACTION)
    order = np.random.default_rng((seed, 0)).permutation(patients)
    return tuple(
        draw_patient(
            np.random.default_rng((seed, number)),
            number=number,
            sex=Sex.FEMALE if order[number - 1] < women else Sex.MALE,
        )
        for number in range(1, patients + 1)
    )
