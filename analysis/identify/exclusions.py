"""Rules that recognise series other than plain spin-echo T1 or T2, by header codes first, then by texts."""

from collections.abc import Callable
from typing import TypeAlias

from analysis.domain.acquisition import Contrast
from analysis.domain.reason import Reason
from analysis.identify.clues import Clues, Weighting, known
from analysis.identify.words import Word, find, normalise

__all__ = ["EXCLUSIONS"]

_Rule: TypeAlias = Callable[[Clues], Weighting | None]


def _other_modality(given: Clues) -> Weighting | None:
    modality = given.facts.modality.strip().upper()
    if modality == "MR":
        return None
    # A value that is no short code could hold patient data, so it is not repeated.
    if modality.isalpha() and len(modality) <= 8:
        return _certainly(Contrast.OTHER, Reason("other_modality", modality=modality))
    return _certainly(Contrast.OTHER, Reason("modality_not_told"))


def _certainly(contrast: Contrast, reason: Reason) -> Weighting:
    return Weighting(contrast, 1.0, (reason,))


def _described(contrast: Contrast, spelling: str, what: str, score: float = 0.8) -> Weighting:
    reason = Reason("description_says_what", spelling=spelling, what=Reason(what))
    return Weighting(contrast, score, (reason,))


def _named(contrast: Contrast, what: str, kinds: set[str], *words: Word) -> _Rule:
    """Make the rule for a kind of image that ImageType or the description names."""

    def rule(given: Clues) -> Weighting | None:
        if kind := min(given.kinds & kinds, default=None):
            return _certainly(contrast, Reason("image_type_marks", kind=kind, what=Reason(what)))
        for word in words:
            if spelling := given.says(word):
                return _described(contrast, spelling, what)
        return None

    return rule


_localiser = _named(
    Contrast.LOCALISER, "localiser", {"LOCALIZER", "SCOUT", "SURVEY"}, Word.LOCALISER
)  # fmt: skip


def _secondary(given: Clues) -> Weighting | None:
    if given.origin[1:] == ("SECONDARY",):
        return _certainly(Contrast.OTHER, Reason("made_from_others"))
    if given.origin[:1] == ("DERIVED",) and given.kinds & {"MPR", "REFORMATTED", "RESAMPLED"}:
        return _certainly(Contrast.OTHER, Reason("reformatted"))
    return None


_CALCULATED: dict[str, set[str]] = {
    "map": {
        "ADC", "FA", "EXP", "TENSOR", "T1 MAP", "T2 MAP", "T2_STAR MAP", "R2_STAR MAP", "B0", "FIELD_MAP",
        "FAT_FRACTION", "RCBF",
    },
    "combined": {"TRACEW", "TENSOR_B0"},
    "phase": {"PHASE", "PHASE MAP", "P"},
    "projection": {"MIP", "MIP_COR", "MIP_SAG", "MIP_TRA", "MINIP", "PROJECTION IMAGE"},
    "difference": {"SUB", "SUBTRACT", "SUBTRACTION"},
    "dynamic": {"DCE"},
}  # fmt: skip
"""What an image is whose ImageType holds one of these values: no magnitude of an echo as it was acquired."""


def _calculated(given: Clues) -> Weighting | None:
    """Exclude what ImageType calls calculated, which it does reliably; descriptions come far later."""
    for what, kinds in _CALCULATED.items():
        if kind := min(given.kinds & kinds, default=None):
            return _certainly(Contrast.OTHER, Reason("image_type_marks", kind=kind, what=Reason(what)))
    return None


def _called_calculated(given: Clues) -> Weighting | None:
    """Exclude what only the description calls calculated.

    After the rules for echoes, because names as "gre_field_mapping" or "DWI tensor" stand over the images
    that a map is calculated from as well.
    """
    for word, what in (
        (Word.MAP, "map"),
        (Word.MAPPING, "mapping"),
        (Word.PROJECTION, "projection"),
        (Word.DIFFERENCE, "difference"),
        (Word.REFORMATTED, "reformatted_kind"),
    ):
        if spelling := given.says(word):
            return _described(Contrast.OTHER, spelling, what)
    return None


_diffusion = _named(Contrast.OTHER, "diffusion", {"DIFFUSION"}, Word.DIFFUSION)
_perfusion = _named(
    Contrast.OTHER, "perfusion", {"ASL", "PERFUSION", "PERFUSION_FFE", "FMRI"}, Word.PERFUSION
)  # fmt: skip


def _echo_planar(given: Clues) -> Weighting | None:
    if "EP" in given.sequence:
        return _certainly(Contrast.OTHER, Reason("echo_planar"))
    if given.sequence_name.startswith(("ep", "seepi", "feepi", "dwi", "grase")):
        return Weighting(Contrast.OTHER, 0.9, (Reason("echo_planar_name"),))
    return _called_echo_planar(given)


_called_echo_planar = _named(Contrast.OTHER, "echo_planar_kind", {"EPI"}, Word.EPI)
_tiled = _named(Contrast.OTHER, "tiled", {"MOSAIC"})
_vessels = _named(Contrast.OTHER, "angiography", {"ANGIO", "TOF", "PCA", "VELOCITY"}, Word.ANGIOGRAPHY)
_fluid_only = _named(Contrast.OTHER, "fluid_only", set(), Word.FLUID_ONLY)

_GRADIENT_ECHO_NAMES = (
    "fl2d", "fl3d", "ffl", "tfl", "fm2d", "fm3d", "fisp", "tfi", "psif", "me2d", "me3d", "de3d", "qfl", "swi",
    "ffe", "tfe", "t1ffe", "t1tfe", "t2ffe", "bffe", "btfe", "fgre", "3dfgre", "spgr", "fspgr", "efgre",
    "gre", "fe2d", "fe3d", "ffe2d", "ffe3d",
)  # fmt: skip


def _gradient_echo(given: Clues) -> Weighting | None:
    """Exclude gradient echoes, whose marrow signal also depends on susceptibility and fat-water phase."""
    if "GR" in given.sequence:
        return _certainly(Contrast.OTHER, Reason("gradient_echo"))
    if "T2_STAR" in given.kinds:
        return _certainly(Contrast.OTHER, Reason("t2_star"))
    if spelling := given.says(Word.T2_STAR):
        return Weighting(Contrast.OTHER, 0.9, (Reason("t2_star_described", spelling=spelling),))
    return None if "SE" in given.sequence else _unnamed_gradient_echo(given)


def _unnamed_gradient_echo(given: Clues) -> Weighting | None:
    """Recognise a gradient echo without ScanningSequence: by sequence name, texts, flip angle or TE."""
    if given.sequence_name.startswith(_GRADIENT_ECHO_NAMES):
        return Weighting(Contrast.OTHER, 0.9, (Reason("gradient_echo_name"),))
    if spelling := given.says(Word.GRADIENT_ECHO):
        return Weighting(Contrast.OTHER, 0.8, (Reason("gradient_echo_described", spelling=spelling),))
    angle, echo = known(given.facts.flip_angle_deg), known(given.facts.echo_time_ms)
    if 0 < angle <= 60 or 0 < echo < 6:
        return Weighting(Contrast.OTHER, 0.7, (Reason("gradient_echo_timing"),))
    return None


_dixon = _named(
    Contrast.DIXON_PART,
    "dixon_part",
    {
        "W", "F", "WATER", "FAT", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "OUT_OF_PHASE",
        "DIXON", "WATER_ONLY", "FAT_ONLY", "IDEAL",
    },
    Word.DIXON,
)  # fmt: skip

_NO_AGENT = {"", "no", "none", "n", "0", "ohne", "nein", "non", "nativ", "without", "na", "unknown", "nil"}


def _after_contrast(given: Clues) -> Weighting | None:
    """Exclude post-contrast series.

    The protocol name counts on every system here: it may name the contrast agent for the whole examination.
    """
    agent = normalise(given.facts.contrast_agent).replace(" ", "")
    if agent not in _NO_AGENT and not agent.startswith(("no", "without", "ohne", "sans")):
        return _certainly(Contrast.POST_CONTRAST, Reason("contrast_agent"))
    if spelling := find(Word.POST_CONTRAST, given.texts):
        return _described(Contrast.POST_CONTRAST, spelling, "after_contrast")
    return None


def _fat_suppressed(given: Clues) -> Weighting | None:
    inversion = known(given.facts.inversion_time_ms)
    if 50 <= inversion <= 350:
        return _certainly(Contrast.FAT_SUPPRESSED, Reason("fat_inverted", inversion_ms=inversion))
    suppressing = {"FS", "FATSAT", "FAT_SAT", "SPIR", "SPAIR", "SSPAIR", "WE", "STIR"}
    if option := min((given.options | given.kinds) & suppressing, default=None):
        return _certainly(Contrast.FAT_SUPPRESSED, Reason("fat_option", option=option))
    for word in (Word.STIR, Word.FAT_SUPPRESSED):
        if spelling := given.says(word):
            return _described(Contrast.FAT_SUPPRESSED, spelling, "fat_taken_away")
    return None


def _fluid_suppressed(given: Clues) -> Weighting | None:
    """Exclude T2 FLAIR, whose dark CSF is no reference; T1 FLAIR passes and is judged by its timing."""
    inversion, echo = known(given.facts.inversion_time_ms), known(given.facts.echo_time_ms)
    if "FLUID_ATTENUATED" in given.kinds:
        return _certainly(Contrast.OTHER, Reason("fluid_attenuated"))
    if inversion >= 1500:
        return _certainly(Contrast.OTHER, Reason("fluid_inverted", inversion_ms=inversion))
    spelling = given.says(Word.FLAIR)
    if spelling and (echo >= 65 or given.says(Word.T2)):
        return _described(Contrast.OTHER, spelling, "fluid_taken_away", score=0.9)
    return None


EXCLUSIONS: tuple[_Rule, ...] = (
    _other_modality,
    _localiser,
    _calculated,
    _secondary,
    _diffusion,
    _perfusion,
    _echo_planar,
    _tiled,
    _vessels,
    _gradient_echo,
    _called_calculated,
    _fluid_only,
    _dixon,
    _after_contrast,
    _fat_suppressed,
    _fluid_suppressed,
)
"""The rules in order; the first that answers decides.

Series that are no spin echoes come first, then those whose marrow or CSF signal is changed. Codes are asked
before words wherever a word could be true of two kinds of images, because the first answer is the reason that
a reader is given, and it must be the true one.
"""
