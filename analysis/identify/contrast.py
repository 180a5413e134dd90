"""What the signal of a series is weighted by: physics first, words second."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from analysis.domain.acquisition import AcquisitionFacts, Contrast
from analysis.identify.words import Word, find, normalise

__all__ = ["Clues", "Finding", "clues", "weighting"]


class Finding(NamedTuple):
    """An answer with how sure it is and what decided it."""

    contrast: Contrast
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clues:
    """The facts with their words made comparable.

    Attributes
    ----------
    facts : AcquisitionFacts
        As they came.
    kinds : frozenset of str
        ImageType without its first two values, which speak of origin.
    sequence, options : frozenset of str
        ScanningSequence; ScanOptions and SequenceVariant.
    sequence_name : str
        Lower case, without the vendor's leading asterisk.
    texts : tuple of str
        Series description, then protocol name, as `normalise` leaves them.
    """

    facts: AcquisitionFacts
    kinds: frozenset[str]
    sequence: frozenset[str]
    options: frozenset[str]
    sequence_name: str
    texts: tuple[str, ...]

    def says(self, word: Word) -> str | None:
        """Return the spelling by which the texts say `word`."""
        return find(word, self.texts)


def clues(facts: AcquisitionFacts) -> Clues:
    """Make the words of the facts comparable."""
    return Clues(
        facts=facts,
        kinds=frozenset(_upper(facts.image_type[2:])),
        sequence=frozenset(_upper(facts.scanning_sequence)),
        options=frozenset(_upper(facts.scan_options + facts.sequence_variant)),
        sequence_name=facts.sequence_name.strip().lstrip("*").casefold(),
        texts=(normalise(facts.series_description), normalise(facts.protocol_name)),
    )


def weighting(given: Clues) -> Finding:
    """Tell the weighting of a series.

    First what no spin-echo image of the anatomy is: other modalities, localisers, maps, diffusion, vessels,
    gradient echoes. Then what spoils the signal of the marrow: Dixon parts, contrast agent, fat
    suppression. What is left is judged by TR, TE and TI, and by its words.

    Parameters
    ----------
    given : Clues
        Of one series.

    Returns
    -------
    Finding
        With `Contrast.UNSURE` where neither physics nor words decide, or where they disagree.
    """
    for rule in _EXCLUSIONS:
        if finding := rule(given):
            return finding
    return _spin_echo(given)


def _upper(values: tuple[str, ...]) -> list[str]:
    return [value.strip().upper() for value in values if value.strip()]


def _other_modality(given: Clues) -> Finding | None:
    if given.facts.modality.strip().upper() == "MR":
        return None
    # A modality is a code of the Standard; anything else in its place is not repeated.
    named = given.facts.modality.strip().upper()
    shown = named if named.isalpha() and len(named) <= 16 else "unknown"
    return Finding(Contrast.OTHER, 1.0, (f"its modality is {shown}, not MR",))


def _by_header_or_words(
    contrast: Contrast, what: str, kinds: frozenset[str], *words: Word
) -> Callable[[Clues], Finding | None]:
    """Rule for a kind of image that ImageType or the description names."""

    def rule(given: Clues) -> Finding | None:
        if kind := min(given.kinds & kinds, default=None):
            return Finding(contrast, 1.0, (f"the image type {kind} marks {what}",))
        for word in words:
            if spelling := given.says(word):
                return Finding(contrast, 0.8, (f"its description says “{spelling}”: {what}",))
        return None

    return rule


_localiser = _by_header_or_words(
    Contrast.LOCALISER, "a localiser", frozenset({"LOCALIZER", "SCOUT", "SURVEY"}), Word.LOCALISER
)
_map = _by_header_or_words(
    Contrast.OTHER,
    "a map or a reformatted image, not an acquired one",
    frozenset({
        *("ADC", "FA", "TRACEW", "EXP", "TENSOR", "TENSOR_B0", "T1 MAP", "T2 MAP", "T2_STAR MAP"),
        *("R2_STAR MAP", "GRAPH"),
        *("PHASE", "PHASE MAP", "P", "B0", "FIELD_MAP", "FAT_FRACTION", "SUB", "SUBTRACT", "SUBTRACTION"),
        *("MIP", "MIP_COR", "MIP_SAG", "MIP_TRA", "MINIP", "PROJECTION IMAGE", "DCE", "RCBF", "MOSAIC"),
    }),
    Word.MAP,
)  # fmt: skip
_diffusion = _by_header_or_words(
    Contrast.OTHER,
    "diffusion, perfusion or functional imaging",
    frozenset({"DIFFUSION", "ASL", "PERFUSION", "PERFUSION_FFE", "FMRI", "EPI"}),
    *(Word.DIFFUSION, Word.PERFUSION, Word.EPI),
)
_vessels = _by_header_or_words(
    Contrast.OTHER, "angiography", frozenset({"ANGIO", "TOF", "PCA", "VELOCITY"}), Word.ANGIOGRAPHY
)
_dixon = _by_header_or_words(
    Contrast.DIXON_PART,
    "one part of a Dixon acquisition",
    frozenset({
        *("W", "F", "WATER", "FAT", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE", "OUT_OF_PHASE"),
        *("DIXON", "WATER_ONLY", "FAT_ONLY", "IDEAL"),
    }),
    Word.DIXON,
)  # fmt: skip


def _secondary(given: Clues) -> Finding | None:
    origin = _upper(given.facts.image_type[:2])
    if origin == ["DERIVED", "SECONDARY"]:
        return Finding(Contrast.OTHER, 1.0, ("it is derived and secondary: made from other images",))
    return None


def _echo_planar(given: Clues) -> Finding | None:
    if "EP" in given.sequence:
        return Finding(Contrast.OTHER, 1.0, ("its scanning sequence is echo planar (EP)",))
    if given.sequence_name.startswith(("ep", "seepi", "feepi", "dwi", "grase")):
        return Finding(Contrast.OTHER, 0.9, ("its sequence name is that of an echo planar sequence",))
    return None


_GRADIENT_ECHO_NAMES = (
    *("fl2d", "fl3d", "ffl", "tfl", "fm2d", "fm3d", "fisp", "tfi", "psif", "me2d", "me3d", "de3d", "qfl"),
    *("swi", "ffe", "tfe", "t1ffe", "t1tfe", "t2ffe", "bffe", "btfe", "fgre", "3dfgre", "spgr", "fspgr"),
    *("efgre", "gre", "fe2d", "fe3d", "ffe3d", "ffe2d", "field_echo"),
)  # fmt: skip


def _gradient_echo(given: Clues) -> Finding | None:
    """Gradient echoes show susceptibility of trabecular bone, and phase of fat and water, beside T1 or T2."""
    what = "a gradient echo, whose marrow signal is not that of a spin echo"
    if "GR" in given.sequence:
        return Finding(Contrast.OTHER, 1.0, (f"its scanning sequence is {what} (GR)",))
    if given.says(Word.T2_STAR):
        return Finding(Contrast.OTHER, 0.9, ("its description says T2*, which is not T2",))
    return None if "SE" in given.sequence else _unnamed_gradient_echo(given, what)


def _unnamed_gradient_echo(given: Clues, what: str) -> Finding | None:
    """Where the header does not name the sequence, its name, its words and its physics may."""
    if given.sequence_name.startswith(_GRADIENT_ECHO_NAMES):
        return Finding(Contrast.OTHER, 0.9, (f"its sequence name is that of {what}",))
    if spelling := given.says(Word.GRADIENT_ECHO):
        return Finding(Contrast.OTHER, 0.8, (f"its description says “{spelling}”: {what}",))
    angle, echo = given.facts.flip_angle_deg, given.facts.echo_time_ms
    if (angle is not None and 0 < angle <= 60) or (echo is not None and 0 < echo < 6):
        return Finding(Contrast.OTHER, 0.7, (f"its flip angle or echo time is that of {what}",))
    return None


_NO_AGENT = {"", "no", "none", "n", "0", "ohne", "nein", "non", "nativ", "without", "na", "unknown", "nil"}


def _after_contrast(given: Clues) -> Finding | None:
    agent = normalise(given.facts.contrast_agent).replace(" ", "")
    if agent not in _NO_AGENT and not agent.startswith(("nocontrast", "without", "ohne", "sans")):
        return Finding(Contrast.POST_CONTRAST, 1.0, ("its header names a contrast agent",))
    if spelling := given.says(Word.POST_CONTRAST):
        return Finding(
            Contrast.POST_CONTRAST,
            0.8,
            (f"its description says “{spelling}”: acquired after contrast agent",),
        )
    return None


def _fat_suppressed(given: Clues) -> Finding | None:
    inversion = given.facts.inversion_time_ms
    if inversion is not None and 50 <= inversion <= 350:
        return Finding(
            Contrast.FAT_SUPPRESSED,
            1.0,
            (f"inversion at {inversion:g} ms takes the signal of fat away (STIR)",),
        )
    if option := min(
        given.options & {"FS", "FATSAT", "FAT_SAT", "SPIR", "SPAIR", "WE", "SSPAIR", "SFS"}, default=None
    ):
        return Finding(
            Contrast.FAT_SUPPRESSED, 1.0, (f"the scan option {option} takes the signal of fat away",)
        )
    for word in (Word.STIR, Word.FAT_SUPPRESSED):
        if spelling := given.says(word):
            return Finding(
                Contrast.FAT_SUPPRESSED, 0.8, (f"its description says “{spelling}”: fat is suppressed",)
            )
    return None


def _fluid_attenuated(given: Clues) -> Finding | None:
    """T2 with the fluid's signal nulled (FLAIR): dark CSF is no reference, so it is no T2 to us."""
    inversion, echo = given.facts.inversion_time_ms or 0.0, given.facts.echo_time_ms or 0.0
    if inversion >= 1500:
        return Finding(Contrast.OTHER, 1.0, (f"inversion at {inversion:g} ms takes the signal of CSF away",))
    if given.says(Word.FLAIR) and (echo >= 65 or given.says(Word.T2)):
        return Finding(Contrast.OTHER, 0.9, ("its description says FLAIR: the signal of CSF is taken away",))
    return None


_EXCLUSIONS: tuple[Callable[[Clues], Finding | None], ...] = (
    _other_modality,
    _localiser,
    _secondary,
    _map,
    _diffusion,
    _echo_planar,
    _vessels,
    _gradient_echo,
    _dixon,
    _after_contrast,
    _fat_suppressed,
    _fluid_attenuated,
)
"""In the order they are asked; the first that answers decides."""


def _spin_echo(given: Clues) -> Finding:
    """Weigh physics against words for what is left: spin echoes of the anatomy, as far as is known."""
    told, told_reason = _by_words(given)
    measured, measured_reason = _by_physics(given)
    reasons = tuple(reason for reason in (measured_reason, told_reason) if reason)
    if measured is None and told is None:
        return Finding(
            Contrast.UNSURE, 0.0, (*reasons, "neither its timing nor its description tells T1 from T2")
        )
    if measured is not None and told is not None and measured is not told:
        return Finding(Contrast.UNSURE, 0.0, (*reasons, "its timing and its description disagree"))
    if measured is None:
        assert told is not None  # noqa: S101 - narrowed above, for mypy
        return Finding(told, 0.6, reasons)
    return Finding(measured, 0.8 if told is None else 1.0, reasons if told is None else reasons[::-1])


def _by_words(given: Clues) -> tuple[Contrast | None, str | None]:
    """Weighting that the words tell; the series description is asked before the protocol's name."""
    for text in given.texts:
        said = {
            contrast: spelling
            for contrast, word in (
                (Contrast.T1, Word.T1),
                (Contrast.T2, Word.T2),
                (Contrast.PROTON_DENSITY, Word.PROTON_DENSITY),
            )
            if (spelling := find(word, [text]))
        }
        if len(said) == 1:
            contrast, spelling = next(iter(said.items()))
            return contrast, f"its description says “{spelling}”"
        if said:
            return None, f"its description says {' and '.join(f'“{one}”' for one in said.values())}"
    return None, None


def _by_physics(given: Clues) -> tuple[Contrast | None, str | None]:
    """Weighting that the timing of a spin echo gives.

    The limits leave gaps on purpose: between them words must decide, or nobody.
    """
    repetition, echo = given.facts.repetition_time_ms, given.facts.echo_time_ms
    if repetition is None or echo is None or repetition <= 0 or echo <= 0:
        return None, None
    inversion = given.facts.inversion_time_ms or 0.0
    timing = f"TR {repetition:.0f} ms and TE {echo:.0f} ms"
    if inversion > 350 or given.says(Word.FLAIR):
        # What is left here is T1 FLAIR; longer inversions were told before.
        contrast = Contrast.T1 if echo <= 40 else None
        timing += " with an inversion pulse"
    elif repetition <= 1000 and echo <= 35:
        contrast = Contrast.T1
    elif repetition >= 1000 and echo >= 65:
        contrast = Contrast.T2
    elif repetition >= 1500 and echo <= 50:
        contrast = Contrast.PROTON_DENSITY
    else:
        contrast = None
    return contrast, f"{timing} {'give no clear' if contrast is None else f'give {contrast}'} weighting"
