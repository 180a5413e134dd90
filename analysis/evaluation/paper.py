"""The figures that the abstract of the paper behind this project reports, for comparison with ours."""

from analysis.domain.findings import Target

__all__ = ["CITATION", "KNN_TEST_AREA", "UNKNOWN"]

CITATION = (
    "Sequence-specific radiomics for diagnosis of spinal bone loss. Front Endocrinol 2026;17:1823826. "
    "doi:10.3389/fendo.2026.1823826"
)

KNN_TEST_AREA: dict[tuple[Target, str], float] = {
    (Target.OSTEOPOROSIS, "T1"): 0.821,
    (Target.OSTEOPOROSIS, "T2"): 0.782,
    (Target.OSTEOPOROSIS, "T1+T2"): 0.775,
    (Target.ABNORMAL_DENSITY, "T1"): 0.884,
    (Target.ABNORMAL_DENSITY, "T2"): 0.942,
    (Target.ABNORMAL_DENSITY, "T1+T2"): 0.923,
}
"""Test AUC of KNN, mean of ten repeated evaluations: 160 patients (52 men, 108 women), 320 MR scans, QCT."""

UNKNOWN = (
    "the scanner and its protocols",
    "how the regions of interest were drawn, and by whom",
    "preprocessing and which features were extracted",
    "how features were selected, and whether inside the splits",
    "the hyper-parameters of the models",
    "the QCT thresholds of both targets",
    "the spread of the AUC over the ten evaluations, and which test compared the sequences",
)
"""What the abstract does not state; these choices are our own."""
