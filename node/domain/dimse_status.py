"""Statuses of DIMSE responses.

References
----------
DICOM PS3.7 Annex C, Status Type Encoding; PS3.4 B.2.3, Statuses of the Storage Service; PS3.4 C.4.1.1.4,
C.4.2.1.5 and C.4.3.1.4, of C-FIND, C-MOVE and C-GET.
"""

__all__ = [
    "ATTRIBUTE_LIST_ERROR",
    "ATTRIBUTE_VALUE_OUT_OF_RANGE",
    "CANNOT_UNDERSTAND",
    "CONFLICTING_INSTANCE",
    "DATASET_DOES_NOT_MATCH",
    "DUPLICATE_INSTANCE",
    "IDENTIFIER_DOES_NOT_MATCH",
    "INVALID_INSTANCE",
    "NOT_AUTHORISED",
    "NO_SUCH_INSTANCE",
    "OPTIONAL_ATTRIBUTES_NOT_SUPPORTED",
    "OUT_OF_RESOURCES",
    "PENDING",
    "PENDING_WITHOUT_OPTIONAL_KEYS",
    "PROCESSING_FAILURE",
    "SOP_CLASS_NOT_SUPPORTED",
    "SUBOPERATIONS_FAILED",
    "SUCCESS",
    "UNKNOWN_MOVE_DESTINATION",
]

# Of every service

SUCCESS = 0x0000
OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
"""A warning."""
ATTRIBUTE_LIST_ERROR = 0x0107
"""A warning."""
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
"""A warning."""
INVALID_INSTANCE = 0x0117
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124

# Of storage; a peer may answer with any status of the same high byte

OUT_OF_RESOURCES = 0xA700
DATASET_DOES_NOT_MATCH = 0xA900
"""The dataset is not what its request says."""
CANNOT_UNDERSTAND = 0xC000
CONFLICTING_INSTANCE = 0xB111
"""This node's own: another image is stored under the SOP Instance UID. In the range of warnings, so that the
sender's operator is told, and the sender goes on with the rest of the study."""

# Of C-FIND, C-MOVE and C-GET

PENDING = 0xFF00
PENDING_WITHOUT_OPTIONAL_KEYS = 0xFF01
SUBOPERATIONS_FAILED = 0xB000
"""A warning: some images could not be sent."""
UNKNOWN_MOVE_DESTINATION = 0xA801
IDENTIFIER_DOES_NOT_MATCH = 0xA900
"""The same number as `DATASET_DOES_NOT_MATCH`."""
