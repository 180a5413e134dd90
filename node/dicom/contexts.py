"""Presentation contexts: what this node accepts, and what it proposes."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydicom.uid import (
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

__all__ = [
    "ECHO_CONTEXTS",
    "GET_CONTEXTS",
    "MOVE_CONTEXTS",
    "contexts_answering",
    "contexts_for",
    "is_storage",
    "retrieved_contexts",
    "storage_contexts",
]

ECHO_CONTEXTS = (build_context(Verification),)
MOVE_CONTEXTS = (build_context(StudyRootQueryRetrieveInformationModelMove),)
GET_CONTEXTS = (build_context(StudyRootQueryRetrieveInformationModelGet),)
_PREFERRED = (
    # Uncompressed; then lossless; then lossy. A lossy image is stored too: the refusal of the analysis says
    # why it is not used, which a rejected context could not.
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEG2000,
    JPEGLSNearLossless,
    JPEGExtended12Bit,
    JPEGBaseline8Bit,
)
_OTHER_SYNTAXES = tuple(UID(syntax) for syntax in AllTransferSyntaxes if syntax not in _PREFERRED)


class _SharedContexts(list[PresentationContext]):
    """Contexts that no association changes, so that all can share them.

    pynetdicom deep-copies the list for every association: about 200 contexts of 40 transfer syntaxes, which
    costs a sender that opens an association for each image more than the image does.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_SharedContexts":
        return self


@cache
def storage_contexts() -> list[PresentationContext]:
    """Return what the node always accepts: C-ECHO, reports of storage commitment, and all standard storage.

    A router that sends a whole study stops at the first object that is rejected, so every SOP class is
    accepted in every syntax, and the study's state later says what could not be used.
    """
    storage = [_stored(context.abstract_syntax) for context in AllStoragePresentationContexts]
    # Archives report on storage commitment over an association of their own, in which they are the SCP.
    commitment = build_context(StorageCommitmentPushModel, list(_PREFERRED[:2]))
    commitment.scu_role = commitment.scp_role = True
    return _SharedContexts([build_context(Verification, list(_PREFERRED[:2])), commitment, *storage])


def contexts_answering(proposed: Iterable[str]) -> list[PresentationContext]:
    """Return what the node accepts of a peer that proposes these SOP classes.

    Parameters
    ----------
    proposed : iterable of str
        The abstract syntaxes of its presentation contexts.

    Returns
    -------
    list of PresentationContext
        `storage_contexts`, and one for each further class that stores objects.
    """
    always, known = storage_contexts(), _always_accepted()
    further = [uid for uid in dict.fromkeys(proposed) if uid not in known and is_storage(uid)]
    return _SharedContexts([*always, *map(_stored, further)]) if further else always


@cache
def retrieved_contexts() -> list[PresentationContext]:
    """Return contexts for the images that C-GET may bring: the MR classes, and what lies among their series.

    An image is sent as it is stored only over a context of its own syntax; an association has 128 contexts.
    """
    each = [
        build_context(uid, syntax)
        for uid in (MRImageStorage, EnhancedMRImageStorage)
        for syntax in _PREFERRED
    ]
    others = (
        EnhancedMRColorImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        SecondaryCaptureImageStorage,
    )
    return [*each, *map(_stored, others)]


@cache
def _always_accepted() -> frozenset[str]:
    return frozenset(str(context.abstract_syntax) for context in storage_contexts())


def is_storage(uid: str) -> bool:
    """Tell whether a SOP class stores objects.

    So do the standard storage classes, retired ones among them. A class that is private, or newer than the
    tables of pydicom, is taken for one as well: nothing else can be done with it.

    References
    ----------
    DICOM PS3.4 B.5, Standard SOP Classes; B.3.1.4, standard extended, specialized and private SOP classes.

    Examples
    --------
    >>> is_storage("1.2.840.10008.5.1.4.1.1.5"), is_storage("1.3.46.670589.11.0.0.12.1")
    (True, True)
    >>> is_storage("1.2.840.10008.1.1"), is_storage("1.2.840.10008.1.20.1")
    (False, False)
    """
    known = UID(uid)
    if known.name == uid:
        return True
    return known.type == "SOP Class" and "Storage" in known.name and "Commitment" not in known.name


def _stored(uid: str | None) -> PresentationContext:
    return build_context(uid, [*_PREFERRED, *_OTHER_SYNTAXES])


def contexts_for(classes: Iterable[str]) -> list[PresentationContext]:
    """Return contexts for these SOP classes in the syntaxes that our own objects are written in."""
    return [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in classes]
