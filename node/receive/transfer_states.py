"""The states of an association while its peer sends messages, and all that may change them, as data.

References
----------
DICOM PS3.8 Annex E, Message Fragmentation; PS3.7 6.3, Message Structure.
"""

from enum import Enum

__all__ = ["MESSAGE_TRANSITIONS", "READING_TRANSITIONS", "FragmentKind", "Message", "Reading", "Step"]


class Reading(Enum):
    """Who reads the connection."""

    ELSEWHERE = "elsewhere"
    """pynetdicom: until the association is established, and from the first PDU that is no P-DATA-TF on."""
    HERE = "here"
    """`DataTransfer`: the peer may send messages."""
    ANSWERING = "answering"
    """`DataTransfer`: an object is whole, and the peer waits for our response."""
    HELD_BACK = "held back"
    """Nobody: the peer sent on without waiting for our response, and its bytes wait in the network."""
    ENDED = "ended"
    """The connection is closed, or the peer broke a rule: nothing more is taken."""


class Step(Enum):
    """What changes who reads the connection."""

    ESTABLISHED = "established"
    """pynetdicom has accepted the association."""
    OBJECT_WHOLE = "object whole"
    """The last fragment of an object has come."""
    SENT_ON = "sent on"
    """More has come while an answer is due."""
    ANSWERED = "answered"
    """The response to an object is made."""
    HANDED_BACK = "handed back"
    """Another PDU has come, or pynetdicom ends the association."""
    ENDED = "ended"
    """The connection is closed, or the peer broke a rule."""


READING_TRANSITIONS: dict[tuple[Reading, Step], Reading] = {
    (Reading.ELSEWHERE, Step.ESTABLISHED): Reading.HERE,
    (Reading.HERE, Step.OBJECT_WHOLE): Reading.ANSWERING,
    (Reading.ANSWERING, Step.SENT_ON): Reading.HELD_BACK,
    (Reading.ANSWERING, Step.ANSWERED): Reading.HERE,
    (Reading.HELD_BACK, Step.ANSWERED): Reading.HERE,
    # The association was aborted, or its connection lost, while the object was made durable.
    (Reading.ELSEWHERE, Step.ANSWERED): Reading.ELSEWHERE,
    (Reading.ENDED, Step.ANSWERED): Reading.ENDED,
    (Reading.HERE, Step.HANDED_BACK): Reading.ELSEWHERE,
    (Reading.ANSWERING, Step.HANDED_BACK): Reading.ELSEWHERE,
    (Reading.HELD_BACK, Step.HANDED_BACK): Reading.ELSEWHERE,
    **{(state, Step.ENDED): Reading.ENDED for state in Reading},
}
"""All that may happen; whatever is not here is a bug of ours."""


class Message(Enum):
    """What part of which message the peer is sending."""

    NONE = "none"
    """It is between two messages."""
    COMMAND = "command"
    DATASET = "dataset"
    """Of a C-STORE request."""
    OTHER_DATASET = "other dataset"
    """Of any other message."""


class FragmentKind(Enum):
    """What a fragment is, with the command read that it completes."""

    COMMAND = "command"
    """A command, not to its end."""
    STORE_REQUEST = "store request"
    """The end of the command of a C-STORE request, which a dataset follows."""
    OTHER_WITH_DATASET = "other with dataset"
    """The end of any other command that a dataset follows."""
    OTHER_ALONE = "other alone"
    """The end of any other command, and of its message."""
    DATASET = "dataset"
    """A dataset, not to its end."""
    DATASET_END = "dataset end"


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
"""All that a peer may send; whatever is not here breaks the protocol."""
