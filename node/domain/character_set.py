"""Text values of a header in the character set that the header names.

References
----------
DICOM PS3.5 6.1, Support of Character Repertoires; PS3.3 C.12.1.1.2, Specific Character Set.
"""

__all__ = ["decode_text"]

_ESCAPE = b"\x1b"
_DELIMITERS = {ord("^"), ord("=")}
"""Of a person's name; each ends what an escape sequence began."""
_ASCII = "ascii"
_MOST_BYTES = 1024
"""No genuine value is longer: three component groups of 64 characters. A hostile one would take seconds."""


def decode_text(value: bytes, character_set: bytes) -> str:
    """Decode a value, or the beginning of a hostile one; bytes outside its character set are replaced.

    Parameters
    ----------
    value : bytes
        Value of an element with the VR LO, PN or SH.
    character_set : bytes
        Value of SpecificCharacterSet; empty where there is none.

    Examples
    --------
    >>> decode_text("Müller^Jörg ".encode("latin-1"), b"ISO_IR 100")
    'Müller^Jörg'
    >>> decode_text("Müller".encode("latin-1"), b"")
    'M�ller'
    """
    value = value.strip(b"\0 ")[:_MOST_BYTES]
    if value.isascii() and _ESCAPE not in value:
        return value.decode(_ASCII)
    # Imported here because hardly any header needs it.
    from pydicom.charset import decode_bytes, python_encoding

    terms = [term.strip("\0 ") for term in character_set[:_MOST_BYTES].decode(_ASCII, "replace").split("\\")]
    # The default repertoire is ASCII. pydicom reads it as Latin-1, which makes up letters.
    encodings = [python_encoding.get(term, _ASCII) if term else _ASCII for term in terms]
    if _ESCAPE in value:
        try:
            return decode_bytes(value, encodings, _DELIMITERS)
        except (UnicodeError, LookupError, Warning):
            pass
    return value.decode(encodings[0], "replace")
