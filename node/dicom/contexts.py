"""Presentation contexts: what this node accepts, and what it proposes."""

from collections.abc import Iterable
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
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

__all__ = ["contexts_for", "storage_contexts"]

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


class _SharedContexts(list[PresentationContext]):
    """Contexts that no association changes, so that all can share them.

    pynetdicom deep-copies the list for every association: about 200 contexts of 40 transfer syntaxes, which
    costs a sender that opens an association for each image more than the image does.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "_SharedContexts":
        return self


def storage_contexts() -> list[PresentationContext]:
    """Return what the node accepts: C-ECHO, reports of storage commitment, and all storage in every syntax.

    A router that sends a whole study stops at the first object that is rejected, so every SOP class is
    accepted, and the study's state later says what could not be used.
    """
    others = [UID(syntax) for syntax in AllTransferSyntaxes if syntax not in _PREFERRED]
    syntaxes = [*_PREFERRED, *others]
    storage = [build_context(context.abstract_syntax, syntaxes) for context in AllStoragePresentationContexts]
    # Archives report on storage commitment over an association of their own, in which they are the SCP.
    commitment = build_context(StorageCommitmentPushModel, list(_PREFERRED[:2]))
    commitment.scu_role = commitment.scp_role = True
    return _SharedContexts([build_context(Verification, list(_PREFERRED[:2])), commitment, *storage])


def contexts_for(classes: Iterable[str]) -> list[PresentationContext]:
    """Return contexts for these SOP classes in the syntaxes that our own objects are written in."""
    return [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in classes]
