"""Bounds what a deflated dataset may inflate to, before pydicom inflates it at once.

Deflate turns a megabyte into a gigabyte, and a study may hold many such instances.
"""

import os
import resource
import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from analysis.domain.reason import Reason
from analysis.errors import RefusedError

__all__ = ["check_inflated"]

_MEGABYTE = 1024 * 1024
_SHARE = 4
"""Part of the memory of a process that one dataset may inflate to; pydicom copies it more than once."""
_MEMORY_BYTES = 8192 * _MEGABYTE
"""Taken for the memory of a process without a limit: the default of [engine] memory_limit_mb."""
_FREE_BYTES, _MOST_RATIO = 64 * _MEGABYTE, 100
"""No image inflates to so many times its size; what is small all the same is read."""
_META_GROUP = 2


def check_inflated(path: Path) -> None:
    """Check the size to which the dataset of a file inflates, without keeping it.

    Raises
    ------
    RefusedError
        If the dataset is deflated and inflates to more than a quarter of the memory limit of this process
        ([engine] memory_limit_mb), or to more than 64 MB and a hundred times its size.
    Exception
        Whatever pydicom and zlib raise on damaged bytes.

    References
    ----------
    DICOM PS3.5 A.5, Deflated Explicit VR Little Endian.
    """
    with path.open("rb") as file:
        read_preamble(file, force=True)
        meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_is_behind_meta)
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return
        size = os.fstat(file.fileno()).st_size - file.tell()
        most = min(_memory_bytes() // _SHARE, max(_FREE_BYTES, size * _MOST_RATIO))
        if _inflates_beyond(file, most):
            raise RefusedError(Reason("inflates_too_far", megabytes=most // _MEGABYTE))


def _is_behind_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != _META_GROUP


def _memory_bytes() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _MEMORY_BYTES if limit == resource.RLIM_INFINITY else limit


def _inflates_beyond(file: BinaryIO, most: int) -> bool:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = 0
    while part := inflater.unconsumed_tail or file.read(_MEGABYTE):
        inflated += len(inflater.decompress(part, _MEGABYTE))
        if inflated > most or inflater.eof:
            break
    return inflated > most
