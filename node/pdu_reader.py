"""The PDUs that carry images, read and served without a detour through the queues of pynetdicom 3.0.4."""

from struct import Struct

from pynetdicom.association import Association

from node.bounded import BoundedSocket
from node.domain.pdata import P_DATA_TF, MalformedMessageError
from node.incoming import Inflow

__all__ = ["read_straight"]

_HEADER = Struct(">BxL")
_READY = "Sta6"
"""PS3.8 table 9-10: association established and ready for data transfer."""
_INVALID, _CLOSED = "Evt19", "Evt17"
"""PS3.8 table 9-10: unrecognised or invalid PDU received; transport connection closed."""


def read_straight(association: Association, connection: BoundedSocket, inflow: Inflow) -> None:
    """Let an association that has not started read its P-DATA-TF PDUs here, a message at a time.

    All other PDUs, and those of other states, stay with pynetdicom's reader and its table of states, which
    would do with these what is done here (PS3.8 table 9-10, Sta6 and Evt10: DT-2).

    Parameters
    ----------
    association : Association
        As its request handler made it.
    connection : BoundedSocket
        Its socket.
    inflow : Inflow
        Takes what the PDUs hold.
    """
    dul = association.dul
    read_any = dul._read_pdu_data  # noqa: SLF001 - what is wrapped here
    restart_idle_timer = dul._idle_timer.restart  # noqa: SLF001 - as pynetdicom does after each PDU

    def read_one() -> bool:
        """Read one PDU, and tell whether more of its message is to come."""
        header = connection.recv(_HEADER.size)
        if len(header) < _HEADER.size or header[0] != P_DATA_TF or dul.state_machine.current_state != _READY:
            connection.give_back(header)
            read_any()
            return False
        _, length = _HEADER.unpack(header)
        inflow.take(connection.read(length))
        restart_idle_timer()
        return inflow.is_midway

    def read() -> None:
        try:
            while read_one():
                # Whatever else is to be done comes first: an order to abort does not wait for the object.
                if dul.to_provider_queue.queue or dul._kill_thread:  # noqa: SLF001
                    return
        except MalformedMessageError:
            dul.event_queue.put(_INVALID)
        except OSError:
            dul.event_queue.put(_CLOSED)

    dul._read_pdu_data = read  # noqa: SLF001
