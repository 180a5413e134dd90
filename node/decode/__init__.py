"""From files to series: read headers first, and decode voxels only of the series that are analysed."""

from node.decode.files import files_below, scan, studies_below
from node.decode.series import SeriesHeaders, UnreadableFile, faults_of
from node.decode.stack import check_stack
from node.decode.voxels import decode

__all__ = [
    "SeriesHeaders",
    "UnreadableFile",
    "check_stack",
    "decode",
    "faults_of",
    "files_below",
    "scan",
    "studies_below",
]
