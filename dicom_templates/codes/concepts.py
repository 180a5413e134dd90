"""Every coded concept of our results, in one table.

Standard codes come with their meanings from the PS3.16 dictionary of pydicom. Concepts that DICOM has no code
for are in a private scheme, 99OSTEONODE, which every document that uses it declares. Where each is used is
told in docs/content-items.md.

References
----------
DICOM PS3.16, Content Mapping Resource; PS3.3 section 8, Encoding of coded entry data.
"""

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from analysis.domain.acquisition import Contrast, Plane
from analysis.domain.findings import Findings, Target, Verdict
from analysis.domain.segmentation import Grade, Level

__all__ = [
    "ABOUT",
    "ABSTENTION",
    "ANSWERED",
    "ANSWERS",
    "BMD_LIMIT",
    "COMPARABLE",
    "COMPARED_SCORE",
    "CONFIGURATION_DIGEST",
    "CSF_QUALITY",
    "EARLIER_DIGEST",
    "EARLIER_PROBABILITY",
    "EARLIER_VBQ",
    "ECHO_TIME",
    "FIGURE_OF",
    "FINDING_SITE_OF",
    "GRADE",
    "GRADE_OF",
    "INPUT_DIGEST",
    "INTENDED_USE",
    "INVERSION_TIME",
    "LEVEL_CONFIDENCE",
    "LOWER_UNCERTAINTY",
    "MODEL_COHORT",
    "MODEL_DIGEST",
    "NOT_COMPARABLE_REASON",
    "OUTLINES",
    "OUTLINE_QUALITY",
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
    "SCANNER_LEFT",
    "SIGNAL_OF",
    "TARGET_DEFINITION",
    "TARGET_OF",
    "THRESHOLD_OF",
    "UPPER_UNCERTAINTY",
    "USED_FOR_RESULT",
    "VBQ_CHANGE",
    "VBQ_OF",
    "VERDICT_OF",
    "WEIGHTING",
    "WEIGHTING_REASON",
    "code_item",
    "private_scheme",
    "procedure_of",
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

# --- Procedure ------------------------------------------------------------------------------------

_MR_LUMBAR_SPINE = Code("24968-0", "LN", "MR Lumbar spine")
"""From LOINC itself. TID 1500 wants its Procedure Reported from CID 100, which has only MRI of any region, so
this stands in Performed Procedure Code Sequence."""


def procedure_of(findings: Findings) -> Code:
    """Return the code of the procedure that was performed.

    Parameters
    ----------
    findings : Findings
        What is reported.

    Returns
    -------
    Code
        From LOINC: MR of the lumbar spine where the header of an analysed series says lumbar, else MRI of a
        region that is not told.
    """
    lumbar = any(found.identification.lumbar for found in findings.series)
    return _MR_LUMBAR_SPINE if lumbar else codes.LN.MRIUnspecifiedBodyRegion


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
probabilities of both targets would look alike. The public code stands beside each as a modifier."""
UPPER_UNCERTAINTY = codes.SCT.RangeOfUpperMeasurementUncertainty
LOWER_UNCERTAINTY = codes.SCT.RangeOfLowerMeasurementUncertainty
"""CID 225, as the derivation of the limits of an interval. As properties of the value (TID 310) they would be
distances, and the validator of PixelMed takes every number below another for its source."""
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
TARGET_DEFINITION = _own("TARGET_DEF", "Definition of the predicted target")
"""Holds what one target means, which it names as its concept modifier."""
BMD_LIMIT = _own("BMD_LIMIT", "Trabecular BMD by QCT below which the target is present")
ABSTENTION = _own("ABSTENTION", "Why no answer is given")
ANSWERS = _own("ANSWERS", "How right the answers of the model were in cross-validation")
"""Holds the figures of one target, which it names as its concept modifier."""
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

COMPARED_SCORE = _own("VBQ_THEN_NOW", "Score compared with the earlier examination")
"""Holds one score, whose weighting it names as its concept modifier."""
EARLIER_VBQ = _own("VBQ_EARLIER", "Vertebral bone quality score of the earlier examination")
"""Not the concept of a score of this examination, which a program could take it for."""
VBQ_CHANGE = _own("VBQ_CHANGE", "Change of the score since the earlier examination")
COMPARABLE = _own("COMPARABLE", "Comparable with the earlier examination")
NOT_COMPARABLE_REASON = _own("NOT_COMPARABLE", "Why it is not comparable")
EARLIER_PROBABILITY = _own("P_EARLIER", "Probability of the target in the earlier examination")
EARLIER_DIGEST = _own("SHA_EARLIER", "SHA-256 of the scores of the earlier examination")

SCANNER_LEFT = _own("SCANNER_LEFT", "Scanner outside the training range of the model")
"""Names a basis, how many studies of the scanner were far, and of how many: "T1=12/30"."""

OUTLINES = _own("OUTLINES", "Quality of outlines, level names and CSF of a series")
"""Holds the checks of one series, whose weighting it names as its concept modifier."""
GRADE = _own("OUTLINE_GRADE", "Whether the outlines as a whole can be used")
GRADE_OF: dict[Grade, Code] = {
    Grade.SOUND: _own("GRADE_SOUND", "Usable"),
    Grade.DOUBTFUL: _own("GRADE_DOUBTFUL", "Usable with caveats"),
    Grade.UNUSABLE: _own("GRADE_UNUSABLE", "Not usable"),
}
OUTLINE_QUALITY = _own("OUTLINE_QUALITY", "Quality of the outline")
"""Of one body, or the mean over those of a series; 100 % is as good as an outline by hand."""
LEVEL_CONFIDENCE = _own("LEVEL_CONF", "Confidence that the level names are right")
CSF_QUALITY = _own("CSF_QUALITY", "Quality of the CSF sample")

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
