"""The states of an association while its peer sends messages, and their permitted changes, as tables.

References
----------
DICOM PS3.8 Annex E, Message Fragmentation; PS3.7 6.3, Message Structure.
"""

from enum import Enum

__all__ = ["MESSAGE_TRANSITIONS", "READING_TRANSITIONS", "FragmentKind", "Message", "Reading", "Step"]


class Reading(Enum):
    """Which component reads the connection."""

    PYNETDICOM = "pynetdicom"
    """pynetdicom: until the association is established, and again from the first PDU other than P-DATA-TF."""
    DATA_TRANSFER = "data transfer"
    """`DataTransfer`: the peer may send messages."""
    ANSWERING = "answering"
    """`DataTransfer`: an object has been received completely, and the peer waits for our response."""
    PAUSED = "paused"
    """None: the peer sent more without waiting for our response, and its bytes stay in the network."""
    ENDED = "ended"
    """None: the connection is closed, or the peer violated the protocol."""


class Step(Enum):
    """An event that changes which component reads the connection."""

    ESTABLISHED = "established"
    """pynetdicom has accepted the association."""
    OBJECT_COMPLETE = "object complete"
    """The last fragment of an object has been received."""
    MORE_DATA_BEFORE_ANSWER = "more data before answer"
    """The peer sent more while our response to its object was still due."""
    ANSWERED = "answered"
    """The response to an object is ready to be sent."""
    HANDED_BACK = "handed back"
    """A PDU other than P-DATA-TF has been received, or pynetdicom ends the association."""
    ENDED = "ended"
    """The connection is closed, or the peer violated the protocol."""


READING_TRANSITIONS: dict[tuple[Reading, Step], Reading] = {
    (Reading.PYNETDICOM, Step.ESTABLISHED): Reading.DATA_TRANSFER,
    (Reading.DATA_TRANSFER, Step.OBJECT_COMPLETE): Reading.ANSWERING,
    (Reading.ANSWERING, Step.MORE_DATA_BEFORE_ANSWER): Reading.PAUSED,
    (Reading.ANSWERING, Step.ANSWERED): Reading.DATA_TRANSFER,
    (Reading.PAUSED, Step.ANSWERED): Reading.DATA_TRANSFER,
    # The association was aborted, or its connection lost, while the object was made durable.
    (Reading.PYNETDICOM, Step.ANSWERED): Reading.PYNETDICOM,
    (Reading.ENDED, Step.ANSWERED): Reading.ENDED,
    (Reading.DATA_TRANSFER, Step.HANDED_BACK): Reading.PYNETDICOM,
    (Reading.ANSWERING, Step.HANDED_BACK): Reading.PYNETDICOM,
    (Reading.PAUSED, Step.HANDED_BACK): Reading.PYNETDICOM,
    **{(state, Step.ENDED): Reading.ENDED for state in Reading},
}
"""All permitted changes; any other is a bug in this program."""


class Message(Enum):
    """Which part of which message the peer is sending."""

    NONE = "none"
    """The peer is between two messages."""
    COMMAND = "command"
    DATASET = "dataset"
    """The dataset of a C-STORE request."""
    OTHER_DATASET = "other dataset"
    """The dataset of any other message."""


class FragmentKind(Enum):
    """The kind of a fragment; a fragment that completes a command is classified by that command."""

    COMMAND = "command"
    """A command fragment that is not the last."""
    STORE_REQUEST = "store request"
    """The last command fragment of a C-STORE request; its dataset follows."""
    OTHER_WITH_DATASET = "other with dataset"
    """The last command fragment of any other message that has a dataset."""
    OTHER_ALONE = "other alone"
    """The last command fragment of any other message without a dataset, which ends the message."""
    DATASET = "dataset"
    """A dataset fragment that is not the last."""
    DATASET_END = "dataset end"
    """The last dataset fragment."""


MESSAGE_TRANSITIONS: dict[tuple[Message, FragmentKind], Message] = {
    **{(state, FragmentKind.COMMAND): Message.COMMAND for state in (Message.NONE, Message.COMMAND)},
    **{(state, FragmentKind.STORE_REQUEST): Message.DATASET for state in (Message.NONE, Message.COMMAND)},
    **{
        (state, FragmentKind.OTHER_WITH_DATASET): Message.OTHER_DATASET
        for state in (Message.NONE, Message.COMMAND)
    },
    **{(state, FragmentKind.OTHER_ALONE): Message.NONE for state in (Message.NONE, Message.COMMAND)},
    **{(state, FragmentKind.DATASET): state for state in (Message.DATASET, Message.OTHER_DATASET)},
    **{(state, FragmentKind.DATASET_END): Message.NONE for state in (Message.DATASET, Message.OTHER_DATASET)},
}
"""All that a peer may send; anything else violates the protocol."""
