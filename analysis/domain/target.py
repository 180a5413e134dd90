"""What is predicted."""

from enum import StrEnum

__all__ = ["Target"]


class Target(StrEnum):
    """What is predicted; each target is defined by a QCT threshold (`ModelIdentity.thresholds_mg_cm3`)."""

    OSTEOPOROSIS = "osteoporosis"
    ABNORMAL_DENSITY = "abnormal bone density"
