"""The name by which studies of one scanner are counted together."""

import unicodedata

__all__ = ["LONGEST_KEY", "scanner_key"]

_LONGEST_PART = 48
_UNKNOWN = "?"
LONGEST_KEY = 4 * _LONGEST_PART
"""No key has more characters."""


def scanner_key(
    manufacturer: str = "", model: str = "", field_strength_t: float | None = None, serial: str = ""
) -> str:
    """Return the key of a scanner, from what a header says of it.

    Every part is as the header states it, without control characters and doubled blanks. The field strength
    has two digits, because a scanner may state 1.494 in one study and 1.5 in the next.

    Parameters
    ----------
    manufacturer, model : str, optional
        Manufacturer and ManufacturerModelName; empty if the header has none.
    field_strength_t : float, optional
        MagneticFieldStrength in tesla; None if the header has none.
    serial : str, optional
        DeviceSerialNumber; empty if the header has none.

    Returns
    -------
    str
        At most `LONGEST_KEY` characters; empty if the header says nothing at all.

    Examples
    --------
    >>> scanner_key("SIEMENS", "Aera", 1.494, "41234")
    'SIEMENS, Aera, 1.5 T, no. 41234'
    >>> scanner_key("Philips  Medical Systems", field_strength_t=3)
    'Philips Medical Systems, ?, 3 T'
    >>> scanner_key()
    ''
    """
    made_by, named, numbered = (_plain(one) for one in (manufacturer, model, serial))
    strength = f"{field_strength_t:.2g} T" if field_strength_t else ""
    if not (made_by or named or numbered or strength):
        return ""
    parts = [part or _UNKNOWN for part in (made_by, named, strength)]
    return ", ".join([*parts, f"no. {numbered}"] if numbered else parts)


def _plain(text: str) -> str:
    shown = "".join(" " if unicodedata.category(one).startswith("C") else one for one in text)
    return " ".join(shown.split())[: _LONGEST_PART - len(", no. ")]
