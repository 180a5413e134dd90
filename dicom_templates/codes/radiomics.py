"""Codes of radiomic features: those of the IBSI where PS3.16 lists them, private ones for the rest."""

import re
from hashlib import sha256

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_templates.codes.concepts import PRIVATE_SCHEME

__all__ = ["IBSI_OF", "UNIT_OF", "radiomic_code", "radiomic_unit"]

IBSI_OF: dict[str, Code] = {
    "shape_MeshVolume": codes.IBSI.VolumeOfMesh,
    "shape_VoxelVolume": codes.IBSI.VolumeFromVoxelSummation,
    "shape_SurfaceArea": codes.IBSI.SurfaceAreaOfMesh,
    "shape_SurfaceVolumeRatio": codes.IBSI.SurfaceToVolumeRatio,
    "shape_Compactness1": codes.IBSI.Compactness1,
    "shape_Compactness2": codes.IBSI.Compactness2,
    "shape_SphericalDisproportion": codes.IBSI.SphericalDisproportion,
    "shape_Sphericity": codes.IBSI.Sphericity,
    "shape_Maximum3DDiameter": codes.IBSI.Maximum3DDiameterOfAMesh,
    "shape_MajorAxisLength": codes.IBSI.MajorAxisIn3DLength,
    "shape_Elongation": codes.IBSI.Elongation,
    "shape_Flatness": codes.IBSI.Flatness,
    "firstorder_Entropy": codes.IBSI.IntensityHistogramEntropy,
    "firstorder_Uniformity": codes.IBSI.IntensityHistogramUniformity,
    "glcm_JointAverage": codes.IBSI.JointAverageOfGLCM,
    "glcm_MaximumProbability": codes.IBSI.JointMaximumOfGLCM,
    "glcm_SumSquares": codes.IBSI.JointVarianceOfGLCM,
    "glcm_JointEntropy": codes.IBSI.JointEntropyOfGLCM,
    "glcm_DifferenceAverage": codes.IBSI.DifferenceAverageOfGLCM,
    "glcm_DifferenceVariance": codes.IBSI.DifferenceVarianceOfGLCM,
    "glcm_DifferenceEntropy": codes.IBSI.DifferenceEntropyOfGLCM,
    "glcm_SumAverage": codes.IBSI.SumAverageOfGLCM,
    "glcm_SumEntropy": codes.IBSI.SumEntropyOfGLCM,
    "glcm_JointEnergy": codes.IBSI.AngularSecondMomentOfGLCM,
    "glcm_Contrast": codes.IBSI.ContrastOfGLCM,
    "glcm_Id": codes.IBSI.InverseDifferenceOfGLCM,
    "glcm_Idn": codes.IBSI.NormalizedInverseDifferenceOfGLCM,
    "glcm_Idm": codes.IBSI.InverseDifferenceMomentOfGLCM,
    "glcm_Idmn": codes.IBSI.NormalizedInverseDifferenceMomentOfGLCM,
    "glcm_InverseVariance": codes.IBSI.InverseVarianceOfGLCM,
    "glcm_Correlation": codes.IBSI.CorrelationOfGLCM,
    "glcm_Autocorrelation": codes.IBSI.AutocorrelationOfGLCM,
    "glcm_ClusterTendency": codes.IBSI.ClusterTendencyOfGLCM,
    "glcm_ClusterShade": codes.IBSI.ClusterShadeOfGLCM,
    "glcm_ClusterProminence": codes.IBSI.ClusterProminenceOfGLCM,
    "glcm_Imc1": codes.IBSI.FirstMeasureOfInformationCorrelationOfGLCM,
    "glcm_Imc2": codes.IBSI.SecondMeasureOfInformationCorrelationOfGLCM,
    "glrlm_ShortRunEmphasis": codes.IBSI.ShortRunsEmphasis,
    "glrlm_LongRunEmphasis": codes.IBSI.LongRunsEmphasis,
    "glrlm_LowGrayLevelRunEmphasis": codes.IBSI.LowGrayLevelRunEmphasis,
    "glrlm_HighGrayLevelRunEmphasis": codes.IBSI.HighGrayLevelRunEmphasis,
    "glrlm_ShortRunLowGrayLevelEmphasis": codes.IBSI.ShortRunLowGrayLevelEmphasis,
    "glrlm_ShortRunHighGrayLevelEmphasis": codes.IBSI.ShortRunHighGrayLevelEmphasis,
    "glrlm_LongRunLowGrayLevelEmphasis": codes.IBSI.LongRunLowGrayLevelEmphasis,
    "glrlm_LongRunHighGrayLevelEmphasis": codes.IBSI.LongRunHighGrayLevelEmphasis,
    "glrlm_GrayLevelNonUniformity": codes.IBSI.GrayLevelNonuniformityInRuns,
    "glrlm_GrayLevelNonUniformityNormalized": codes.IBSI.NormalizedGrayLevelNonuniformityInRuns,
    "glrlm_RunLengthNonUniformity": codes.IBSI.RunLengthNonuniformity,
    "glrlm_RunLengthNonUniformityNormalized": codes.IBSI.NormalizedRunLengthNonuniformity,
    "glrlm_RunPercentage": codes.IBSI.RunPercentage,
    "glrlm_GrayLevelVariance": codes.IBSI.GrayLevelVarianceInRuns,
    "glrlm_RunVariance": codes.IBSI.RunLengthVariance,
    "glrlm_RunEntropy": codes.IBSI.RunEntropy,
    "glszm_SmallAreaEmphasis": codes.IBSI.SmallZoneEmphasis,
    "glszm_LargeAreaEmphasis": codes.IBSI.LargeZoneEmphasis,
    "glszm_LowGrayLevelZoneEmphasis": codes.IBSI.LowGrayLevelZoneEmphasis,
    "glszm_HighGrayLevelZoneEmphasis": codes.IBSI.HighGrayLevelZoneEmphasis,
    "glszm_SmallAreaLowGrayLevelEmphasis": codes.IBSI.SmallZoneLowGrayLevelEmphasis,
    "glszm_SmallAreaHighGrayLevelEmphasis": codes.IBSI.SmallZoneHighGrayLevelEmphasis,
    "glszm_LargeAreaLowGrayLevelEmphasis": codes.IBSI.LargeZoneLowGrayLevelEmphasis,
    "glszm_LargeAreaHighGrayLevelEmphasis": codes.IBSI.LargeZoneHighGrayLevelEmphasis,
    "glszm_GrayLevelNonUniformity": codes.IBSI.GrayLevelNonuniformityOfSizeZoneCounts,
    "glszm_GrayLevelNonUniformityNormalized": codes.IBSI.NormalizedGrayLevelNonuniformityOfSizeZoneCounts,
    "glszm_SizeZoneNonUniformity": codes.IBSI.ZoneSizeNonuniformity,
    "glszm_SizeZoneNonUniformityNormalized": codes.IBSI.NormalizedZoneSizeNonuniformity,
    "glszm_ZonePercentage": codes.IBSI.SizeZonePercentage,
    "glszm_GrayLevelVariance": codes.IBSI.GrayLevelVarianceInSizeZones,
    "glszm_ZoneVariance": codes.IBSI.ZoneSizeVariance,
    "glszm_ZoneEntropy": codes.IBSI.ZoneSizeEntropy,
    "ngtdm_Coarseness": codes.IBSI.CoarsenessOfNGTDM,
    "ngtdm_Contrast": codes.IBSI.ContrastOfNGTDM,
    "ngtdm_Busyness": codes.IBSI.BusynessOfNGTDM,
    "ngtdm_Complexity": codes.IBSI.ComplexityOfNGTDM,
    "ngtdm_Strength": codes.IBSI.StrengthOfNGTDM,
    "gldm_SmallDependenceEmphasis": codes.IBSI.LowDependenceEmphasis,
    "gldm_LargeDependenceEmphasis": codes.IBSI.HighDependenceEmphasis,
    "gldm_LowGrayLevelEmphasis": codes.IBSI.LowGreyLevelCountEmphasis,
    "gldm_HighGrayLevelEmphasis": codes.IBSI.HighGreyLevelCountEmphasis,
    "gldm_SmallDependenceLowGrayLevelEmphasis": codes.IBSI.LowDependenceLowGreyLevelEmphasis,
    "gldm_SmallDependenceHighGrayLevelEmphasis": codes.IBSI.LowDependenceHighGreyLevelEmphasis,
    "gldm_LargeDependenceLowGrayLevelEmphasis": codes.IBSI.HighDependenceLowGreyLevelEmphasis,
    "gldm_LargeDependenceHighGrayLevelEmphasis": codes.IBSI.HighDependenceHighGreyLevelEmphasis,
    "gldm_GrayLevelNonUniformity": codes.IBSI.GreyLevelNonUniformityOfNGLDM,
    "gldm_DependenceNonUniformity": codes.IBSI.DependenceCountNonUniformity,
    "gldm_DependenceNonUniformityNormalized": codes.IBSI.DependenceCountNonUniformityNormalized,
    "gldm_GrayLevelVariance": codes.IBSI.GreyLevelVarianceOfNGLDM,
    "gldm_DependenceVariance": codes.IBSI.DependenceCountVariance,
    "gldm_DependenceEntropy": codes.IBSI.DependenceCountEntropy,
}
"""IBSI code of each pyradiomics feature that has the consensus value of the IBSI on its digital phantom.

Minor and least axis length have another one (pyradiomics divides the covariance by N), so they are not here.
Statistics of the signal itself (mean, variance, skewness) have no code in PS3.16, which lists only those of
its histogram."""

UNIT_OF: dict[str, Code] = {
    "shape_VoxelVolume": codes.UCUM.CubicMillimeter,
    "shape_MeshVolume": codes.UCUM.CubicMillimeter,
    "shape_SurfaceArea": codes.UCUM.SquareMillimeter,
    "shape_SurfaceVolumeRatio": Code("/mm", "UCUM", "/mm"),
    "shape_Maximum3DDiameter": codes.UCUM.Millimeter,
    "shape_Maximum2DDiameterSlice": codes.UCUM.Millimeter,
    "shape_Maximum2DDiameterColumn": codes.UCUM.Millimeter,
    "shape_Maximum2DDiameterRow": codes.UCUM.Millimeter,
    "shape_MajorAxisLength": codes.UCUM.Millimeter,
    "shape_MinorAxisLength": codes.UCUM.Millimeter,
    "shape_LeastAxisLength": codes.UCUM.Millimeter,
}
"""Units of the features that have one: those of shape. Signals are normalised before, so they have none."""

_LONGEST_MEANING = 64
_SHORTER = (
    ("gr[ae]y level", "GL"),
    ("non ?uniformity", "NU"),
    ("normalized", "norm."),
    ("dependence", "dep."),
    ("emphasis", "emph."),
    ("variance", "var."),
    ("information correlation", "inf. corr."),
    ("difference", "diff."),
    ("percentile", "perc."),
    ("size zone", "zone"),
)
"""Words that are shortened, in this order, until a meaning is short enough to be whole."""


def radiomic_code(feature: str) -> Code:
    """Return the code of a radiomic feature.

    Parameters
    ----------
    feature : str
        Name by pyradiomics, as in `LevelMeasurements.features`: "original_glcm_Contrast".

    Returns
    -------
    Code
        That of the IBSI for features of the unfiltered image that PS3.16 lists; else a private one, whose
        value is derived from the name, so that it is the same in every report.

    Examples
    --------
    >>> radiomic_code("original_glcm_Contrast").meaning
    'Contrast of GLCM'
    >>> radiomic_code("log-2D-in-body-2-0-mm_glcm_Contrast").meaning
    'Contrast of GLCM (log-2D-in-body-2-0-mm)'
    """
    image, _, name = feature.partition("_")
    known = IBSI_OF.get(name)
    if known is not None and image == "original":
        return known
    readable = known.meaning if known is not None else _spell(name)
    # An IBSI code means the feature of the unfiltered image; of a filtered image it is another quantity.
    filtered = f" ({image})"
    for word, shorter in _SHORTER:
        if len(readable) + len(filtered) <= _LONGEST_MEANING:
            break
        readable = re.sub(word, shorter, readable, flags=re.IGNORECASE)
    return Code(
        "RF_" + sha256(feature.encode()).hexdigest()[:12].upper(),
        PRIVATE_SCHEME,
        # The image stays whole: without its width, the features of two filters would read alike.
        readable[: _LONGEST_MEANING - len(filtered)] + filtered,
    )


def radiomic_unit(feature: str) -> Code:
    """Return the unit of a radiomic feature.

    Parameters
    ----------
    feature : str
        Name by pyradiomics, as in `LevelMeasurements.features`.

    Returns
    -------
    Code
        From UCUM; "no units" for all but features of shape.

    Examples
    --------
    >>> radiomic_unit("original_shape_LeastAxisLength").value, radiomic_unit("original_glcm_Contrast").value
    ('mm', '1')
    """
    _, _, name = feature.partition("_")
    unit: Code = UNIT_OF.get(name, codes.UCUM.NoUnits)
    return unit


def _spell(name: str) -> str:
    family, _, feature = name.partition("_")
    return " ".join([family, *re.findall(r"\dD|\d+|[A-Z]?[a-z]+|[A-Z]+(?![a-z])", feature)])
