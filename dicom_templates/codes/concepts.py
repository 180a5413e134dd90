"""Every coded concept of our results, in one table.

Standard codes come with their meanings from the PS3.16 dictionary of pydicom. Concepts that DICOM has no code
for are in a private scheme, 99OSTEONODE, which every document that uses it declares.

References
----------
DICOM PS3.16, Content Mapping Resource; PS3.3 section 8, Encoding of coded entry data.
"""

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from analysis.domain.acquisition import Contrast, Plane
from analysis.domain.findings import Target, Verdict
from analysis.domain.segmentation import Level

__all__ = [
    "ABOUT",
    "ABSTENTION",
    "ANSWERED",
    "ANSWERS",
    "ANSWERS_ABOUT",
    "CONFIGURATION_DIGEST",
    "ECHO_TIME",
    "FIGURE_OF",
    "FINDING_SITE_OF",
    "INPUT_DIGEST",
    "INTENDED_USE",
    "INVERSION_TIME",
    "MODEL_COHORT",
    "MODEL_DIGEST",
    "PATIENTS",
    "PATIENT_COUNT",
    "PLANE_OF",
    "PRESENT",
    "PRIVATE_SCHEME",
    "PROBABILITY_LOWER_OF",
    "PROBABILITY_OF",
    "PROBABILITY_UPPER_OF",
    "QUALITATIVE_EVALUATIONS",
    "RATIO",
    "REPETITION_TIME",
    "SIGNAL_OF",
    "TARGET_OF",
    "THRESHOLD_OF",
    "USED_FOR_RESULT",
    "VBQ_OF",
    "VERDICT_OF",
    "WEIGHTING",
    "WEIGHTING_REASON",
    "code_item",
    "private_scheme",
    "structure_of",
]

PRIVATE_SCHEME = "99OSTEONODE"


def _own(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


def code_item(code: Code) -> Dataset:
    """Write a code as an item of a code sequence (PS3.3 section 8.8)."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def private_scheme() -> Dataset:
    """Declare 99OSTEONODE and the organisation responsible for it.

    Returns
    -------
    Dataset
        An item of the Coding Scheme Identification Sequence (PS3.3 C.12.1.1).
    """
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "OsteoNode private codes"
    item.CodingSchemeResponsibleOrganization = "OsteoNode"
    return item


# --- Units (UCUM) ---------------------------------------------------------------------------------

RATIO = Code("{ratio}", "UCUM", "ratio")
"""A signal over another signal; OHIF prints the unit's code, so it reads "2.71 {ratio}"."""

PATIENT_COUNT = Code("{patients}", "UCUM", "patients")

# --- Anatomy --------------------------------------------------------------------------------------

FINDING_SITE_OF: dict[Level, Code] = {
    Level.T11: codes.SCT.T11Vertebra,
    Level.T12: codes.SCT.T12Vertebra,
    Level.L1: codes.SCT.L1Vertebra,
    Level.L2: codes.SCT.L2Vertebra,
    Level.L3: codes.SCT.L3Vertebra,
    Level.L4: codes.SCT.L4Vertebra,
    Level.L5: codes.SCT.L5Vertebra,
    # PS3.16 has no code for the first sacral segment alone.
    Level.S1: codes.SCT.Sacrum,
}
"""PS3.16 CID 7602, which has codes of vertebrae but none of their bodies."""


def structure_of(level: Level, *, certain: bool) -> Code:
    """Return the code of a vertebra, without its level where that is not certain.

    Parameters
    ----------
    level : Level
        The label of its mask in the segmentation.
    certain : bool
        Whether the levels may be reported (`Segmentation.levels_certain`).

    Returns
    -------
    Code
        From SNOMED CT.
    """
    return FINDING_SITE_OF[level] if certain else codes.SCT.Vertebra


PLANE_OF: dict[Plane, Code] = {
    Plane.SAGITTAL: codes.SCT.Sagittal,
    Plane.CORONAL: codes.SCT.Coronal,
    Plane.AXIAL: codes.SCT.Transverse,
}

# --- What is predicted ----------------------------------------------------------------------------

TARGET_OF: dict[Target, Code] = {
    # Not in PS3.16, but in SNOMED CT itself.
    Target.OSTEOPOROSIS: Code("64859006", "SCT", "Osteoporosis"),
    Target.ABNORMAL_DENSITY: _own("ABNORMAL_BMD", "Abnormal bone density"),
}
"""Concept name of the verdict on each target."""
VERDICT_OF: dict[Verdict, Code] = {
    Verdict.ABOVE: _own("P_ABOVE_THRESH", "Probability above the decision threshold"),
    Verdict.BELOW: _own("P_BELOW_THRESH", "Probability below the decision threshold"),
    Verdict.INDETERMINATE: codes.SCT.Indeterminate,
}
PROBABILITY_OF: dict[Target, Code] = {
    Target.OSTEOPOROSIS: _own("P_OSTEOPOROSIS", "Probability of osteoporosis"),
    Target.ABNORMAL_DENSITY: _own("P_ABNORMAL_BMD", "Probability of abnormal bone density"),
}
"""One concept for each target, because viewers show only the concept name: with DCM 122157 "Probability" the
probabilities of both targets would look alike."""
PROBABILITY_LOWER_OF: dict[Target, Code] = {
    Target.OSTEOPOROSIS: _own("P_OSTEO_LOW", "Probability of osteoporosis, 95 % interval from"),
    Target.ABNORMAL_DENSITY: _own("P_ABN_BMD_LOW", "Probability of abnormal density, 95 % interval from"),
}
PROBABILITY_UPPER_OF: dict[Target, Code] = {
    Target.OSTEOPOROSIS: _own("P_OSTEO_HIGH", "Probability of osteoporosis, 95 % interval to"),
    Target.ABNORMAL_DENSITY: _own("P_ABN_BMD_HIGH", "Probability of abnormal density, 95 % interval to"),
}
THRESHOLD_OF: dict[Target, Code] = {
    Target.OSTEOPOROSIS: _own("T_OSTEOPOROSIS", "Decision threshold of probability of osteoporosis"),
    Target.ABNORMAL_DENSITY: _own("T_ABNORMAL_BMD", "Decision threshold of probability of abnormal density"),
}
"""The probability that the verdict compares with."""
ABSTENTION = _own("ABSTENTION", "Why no answer is given")
ANSWERS = _own("ANSWERS", "How right the answers of the model were in cross-validation")
"""Holds the figures of one target, which it names as its concept modifier."""
ANSWERS_ABOUT = _own("ANSWERS_ABOUT", "Answers about")
PATIENTS = _own("N_PATIENTS", "Number of patients")
PRESENT = _own("N_PRESENT", "Number of patients with the target")
ANSWERED = _own("N_ANSWERED", "Number of patients with an answer")
FIGURE_OF: dict[str, Code] = {
    "PPV": _own("PPV", "Positive predictive value of the answers given"),
    "NPV": _own("NPV", "Negative predictive value of the answers given"),
    "sensitivity": _own("SENSITIVITY", "Sensitivity of the answers given"),
    "specificity": _own("SPECIFICITY", "Specificity of the answers given"),
}
"""By the name of the figure in `AnswerFigures`, in the order in which they are told."""

# --- What is measured -----------------------------------------------------------------------------

SIGNAL_OF: dict[Contrast, Code] = {
    Contrast.T1: codes.DCM.T1WeightedMRSignalIntensity,
    Contrast.T2: codes.DCM.T2WeightedMRSignalIntensity,
}
VBQ_OF: dict[Contrast, Code] = {
    Contrast.T1: _own("VBQ_T1", "Vertebral bone quality score (T1)"),
    Contrast.T2: _own("VBQ_T2", "Vertebral bone quality score (T2)"),
}
USED_FOR_RESULT = _own("USED", "Used for the result")

QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
"""TID 1500 row 10; pydicom's dictionary has no UMLS."""

# --- Where a result comes from --------------------------------------------------------------------

REPETITION_TIME = _own("TR", "Repetition time")
ECHO_TIME = _own("TE", "Echo time")
INVERSION_TIME = _own("TI", "Inversion time")
WEIGHTING = _own("WEIGHTING", "Weighting found from the header")
WEIGHTING_REASON = _own("WEIGHTING_WHY", "Reason for the weighting")
MODEL_DIGEST = _own("SHA_MODEL", "SHA-256 of the model")
CONFIGURATION_DIGEST = _own("SHA_CONFIG", "SHA-256 of the configuration")
INPUT_DIGEST = _own("SHA_INPUT", "SHA-256 of an input series")
MODEL_COHORT = _own("COHORT", "Training cohort of the model")
INTENDED_USE = _own("INTENDED_USE", "Intended use")
ABOUT = _own("ABOUT", "About this result")
"""Heading of the last section of the text report; CID 7001 is extensible and has no such heading."""
