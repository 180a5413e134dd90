"""The vocabulary of series descriptions and protocol names, in several languages.

Only spellings of this vocabulary leave the module: a description may hold a patient's name, and reasons are
shown in reports.
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum

__all__ = ["Word", "find", "normalise"]


class Word(Enum):
    """What a description can tell; each value holds its spellings as regular expressions.

    A spelling matches whole words of the output of `normalise`; "lumb*" also matches longer words. Spellings
    in scripts without spaces match anywhere.
    """

    # fmt: off
    T1 = ("(?:sag|s|p|i)?t1[a-z]*",)
    T2 = (r"(?:sag|s|p|i)?t2[a-z]*(?!\*)",)
    T2_STAR = (r"t2 ?\*w?", "t2 ?star*", "t2 ?stern*")
    PROTON_DENSITY = ("pdw?", "dp", "rho", "proton*", "densit* (?:de )?proton*", "质子", "プロトン")
    FLAIR = ("flair", "dark ?fluid", "tirm dark*")
    STIR = ("stir*", "tirm*", "turboirm*", "tir", "short tau*")
    FAT_SUPPRESSED = (
        "fs", "fat ?sat*", "fat ?sup*", "fett ?s*", "sat ?fat", "sat(?:uration)? (?:de )?(?:la )?gra*",
        "supres* (?:de )?(?:la )?gra*", "suppr* (?:del )?gras*", "spir", "spair", "sspair", "aspir", "chess",
        "quickfatsat", "water ?exc*", "we", "proset",
        "脂肪抑制", "脂肪抑", "压脂", "抑脂", "壓脂", "脂抑",
    )
    DIXON = (
        "m?dixon*", "e?dixon*", "ideal", "(?:fse|lava) ?flex", "in ?ph(?:ase)?", "(?:out|opp) ?ph(?:ase)?",
    )
    POST_CONTRAST = (
        "gd", "gad", "gado*", "km", "kontrast*", "contrast*", "mdc", "mezzo di contrasto", "postc", "postgd",
        r"\+ ?c", r"c ?\+", r"\+ ?gd", r"\+ ?km", r"\+ ?gado*", "ce",
        "post(?! ?(?:op|surg|frakt|fract|trauma|interv|lamin|chemo|biops|kypho|verteb))",
        "inj", "inject*", "enhanced", "dotarem", "clariscan", "prohance", "magnevist", "gadovist",
        "multihance", "omniscan", "vueway", "elucirem", "造影", "增强", "增強", "강화", "조영",
    )
    LOCALISER = (
        "locs?", "localis*", "localiz*", "scout*", "survey*", "surview", "pilot", "plan ?scan", "ubersicht*",
        "3 ?plane*", "three ?plane*", "triplan*", "3 ?pl", "reperage", "centrage", "localizzat*", "posizion*",
        "topo*", "smart ?brain", "smart ?spine", "定位", "位置決め", "ロケータ", "위치",
    )
    DIFFUSION = (
        "dwi*", "dti*", "diff(?!er|use)*", "difus*", "adc", "trace*", "ivim", "dwibs", "tensor", r"\d+ ?dir",
        "扩散", "弥散", "拡散",
    )
    PERFUSION = (
        "fmri*", "bold", "asl", "[a-z]*casl", "pasl", "perf", "perfus*", "dsc", "dce", "cbf", "relcbf",
        "灌注",
    )
    EPI = ("epi", "epi ?rt", "ep2d*", "epse*", "epfid*")
    ANGIOGRAPHY = (
        "angio*", "mra", "tof", "cemra", "twist", "tricks", "phase contrast", "venc*",
    )
    FLUID_ONLY = ("myelo", "myelogra*", "mrcp*")
    GRADIENT_ECHO = (
        "gre", "ge ?echo", "grad* ?echo", "gradient*", "b?ffe", "tfe", "flash*", "fl[23]d*", "vibe*", "medic",
        "merge", "mprage*", "mp ?rage*", "memp?rage*", "f?spgr", "bravo", "lava*", "thrive*", "fiesta*",
        "trufi*", "ciss", "dess", "swi", "swan*", "(?:3d)?i?r? ?fgre", "tfl", "cosmic", "field ?map*",
    )
    MAP = ("maps?", "fraction", "r2star", r"r2 ?\*", "colfa")
    MAPPING = ("mapping",)
    PROJECTION = ("mip", "minip")
    DIFFERENCE = ("sub", "subtract*", "subtrakt*")
    REFORMATTED = ("mpr", "reformat*", "(?:range|vrt) ?collection")
    SAGITTAL = ("sag*", "矢状", "시상")
    CORONAL = ("cor", "coro*", "kor", "frontal*", "冠状", "관상")
    AXIAL = ("ax", "axi*", "assial*", "tra", "trans*", "横断", "轴位", "横軸", "水平断")
    LUMBAR = (
        "lumb*", "lws", "lwk", "lenden*", "l ?sp", "l ?spine*", "ls ?spine*", "ls", "l ?s ?s", "lombaire*",
        "lombo*", "lomba*", "rachis lomb*", "thoraco ?lumb*", "dorso ?lomb*", "sacrolumb*", "bel", "ledzw*",
        "beder*", "lage rug", "поясн", "腰", "요추",
    )
    CERVICAL = (
        "c ?spine*", "cervi*", "cerv", "hws", "hals*", "zervi*", "c ?sp", "nuque", "neck", "颈", "頸", "경추",
    )
    THORACIC = (
        "t ?spine*", "thorac*", "thorak*", "bws", "brust*", "dorsal*", "t ?sp", "torac*", "胸椎", "흉추",
    )
    HEAD = (
        "head*", "brain*", "skull*", "crani*", "crane*", "crano*", "kopf*", "schadel*", "hirn*", "cerebr*",
        "cerveau*", "encephal*", "encefal*", "cabeza", "testa", "orbit*", "pituit*", "hypoph*", "sella*",
        "temporom*", "tmj", "头", "颅", "脑", "頭", "脳", "뇌",
    )
    LIMB = (
        "knee*", "knie*", "genou*", "rodilla*", "ginocchi*", "shoulder*", "schulter*", "epaule*", "hombro*",
        "spalla", "hips?", "hufte*", "hanche*", "cadera*", "anca", "ankle*", "sprunggelenk*", "cheville*",
        "tobillo*", "foot", "fuss", "pied", "pie", "wrist*", "handgelenk*", "poignet*", "hand", "elbow*",
        "ellbogen*", "coude*", "extremit*", "femur*", "thigh*", "oberschenkel*", "calf", "膝", "肩",
    )
    TRUNK = (
        "pelvi*", "becken*", "bassin", "abdom*", "oberbauch*", "bauch*", "liver", "leber*", "foie", "higado",
        "fegato", "breast*", "mamma*", "sein", "seno", "heart", "herz*", "cardi*", "coeur", "cuore",
        "prostat*", "chest", "lung*", "kidney*", "niere*", "whole ?body", "uterus", "rectum", "plexus",
        "si ?joint*", "isg", "骨盆", "骨盤", "腹", "肝", "乳", "心",
    )
    # fmt: on


_NOT_GIVEN = re.compile(
    r"(?<![a-z0-9])(?:pre|vor|before|avant|sans|ohne|without|w ?o|wo|no|non|not|nativ\w*|senza|sin|sem|prima|"
    r"antes|zonder|uden|bez)(?: (?:iv|i v|di|del|der|the|and|und|et|y|e|ou|or|post|mit|avec|con|with))* "
    r"(?:gd|gad\w*|km|kontrast\w*|contrast\w*|mdc|mezzo di contrasto|inj\w*|post|\+ ?c|c)(?![a-z0-9])"
    r"|造影前|造影なし|非造影|非增强|无增强|平扫|增强前|pre ?contrast|pre ?gd|non ?contrast"
)
"""Phrases that deny a contrast agent, or name the pair of series with and without it."""


def normalise(text: str) -> str:
    """Reduce a description to plain lower-case words.

    Character widths, accents and case are dropped, and "SagT2_TSE" is split into words. "+" and "*" stay,
    because they mark contrast agent and T2*.

    >>> normalise("SagT2_TSE  Übersicht+C")
    'sag t2 tse ubersicht +c'
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", text))
    # Only Latin accents are dropped: in Japanese a combining mark makes another letter.
    bare = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", parted))
    plain = re.sub(r"[^\w+*]|_", " ", unicodedata.normalize("NFC", bare).casefold())
    return " ".join(re.sub(r"(?<=\w)\+", " +", plain).split())


def find(word: Word, texts: Iterable[str]) -> str | None:
    """Return the spelling of `word` in the first of the normalised texts that holds it, or None."""
    for text in texts:
        told = _NOT_GIVEN.sub(" ", text) if word is Word.POST_CONTRAST else text
        if match := _PATTERNS[word].search(told):
            return match.group().strip()
    return None


def _pattern(spellings: tuple[str, ...]) -> re.Pattern[str]:
    whole = [spelling for spelling in spellings if spelling.isascii()]
    anywhere = [spelling.replace("*", r"\w*") for spelling in spellings if not spelling.isascii()]
    continued = [re.sub(r"(?<=[a-z)])\*", r"\\w*", spelling) for spelling in whole]
    bounded = rf"(?<![a-z0-9+])(?:{'|'.join(continued)})(?![a-z0-9])"
    return re.compile("|".join([bounded, *anywhere]))


_PATTERNS = {word: _pattern(word.value) for word in Word}
