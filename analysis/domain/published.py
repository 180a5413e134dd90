"""Published results that the analysis and the reports share, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from analysis.domain.acquisition import Contrast
from analysis.domain.findings import Target

__all__ = [
    "BEST_SEQUENCE",
    "SCAN_RESCAN_ICC",
    "T1_VBQ_BY_DECADE",
    "T1_VBQ_BY_FIELD",
    "DecadeReference",
]

BEST_SEQUENCE: Mapping[Target, Contrast] = MappingProxyType(
    {Target.OSTEOPOROSIS: Contrast.T1, Target.ABNORMAL_DENSITY: Contrast.T2}
)
"""The sequence whose radiomics predicted each target best (Front Endocrinol 2026;17:1823826)."""


@dataclass(frozen=True, slots=True)
class DecadeReference:
    """The vertebral bone quality score (VBQ) of people in one decade of age.

    Attributes
    ----------
    first_year : int
        Age at which the decade begins.
    mean, sd : float
        Mean and standard deviation of the score.
    """

    first_year: int
    mean: float
    sd: float

    def holds(self, age_years: float) -> bool:
        """Tell whether an age lies in the decade."""
        return self.first_year <= age_years < self.first_year + 10


T1_VBQ_BY_DECADE = (
    DecadeReference(20, 2.39, 0.74),
    DecadeReference(30, 2.68, 0.57),
    DecadeReference(40, 2.56, 0.63),
    DecadeReference(50, 2.99, 0.72),
    DecadeReference(60, 3.27, 0.57),
)
"""T1 without contrast agent, TR 400 to 850 ms, TE 8 to 20 ms: first scans of the 107 patients of
"Normative data and reproducibility for vertebral bone quality score in serial lumbar spine magnetic resonance
imaging". They are patients, not a normal population."""

SCAN_RESCAN_ICC = 0.749
"""Agreement of T1-VBQ between the two scans of those patients."""

T1_VBQ_BY_FIELD: Mapping[float, tuple[float, float]] = MappingProxyType(
    {1.5: (2.77, 0.49), 3.0: (2.20, 0.43)}
)
"""Mean and standard deviation of T1-VBQ by field strength in tesla (doi 10.1186/s13018-023-04268-5)."""
