"""How long the tests wait for others: until it happens, on however slow a machine."""

import time
from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from node.dicom.pynetdicom_internals import keep_answers

PATIENCE_S = 600.0
"""Ends a wait for what never happens; a single sync was seen to take half a minute on a busy machine.

What a node does after a short limit of its own is waited for just as long, by its effect. Only a wait that
shall end in vain has a short time of its own, so that a slow machine cannot fail it.
"""


LOOK_S = 0.02
"""How often a server looks whether it shall end; half a second, as is usual, is waited for each time."""


class _SoonEnded(ThreadedAssociationServer):  # type: ignore[misc]  # pynetdicom has no types
    def serve_forever(self, poll_interval: float = LOOK_S) -> None:
        super().serve_forever(poll_interval)


class _Patient(AE):  # type: ignore[misc]  # pynetdicom has no types
    """An application entity that misses no answer, however busy the machine is."""

    def make_server(self, *arguments: Any, **options: Any) -> ThreadedAssociationServer:
        return super().make_server(*arguments, **options | {"server_class": _SoonEnded})

    def _create_socket(self, association: Association, *arguments: Any) -> AssociationSocket:
        keep_answers(association)
        return super()._create_socket(association, *arguments)


def application_entity(title: str) -> AE:
    """Make a sender or an archive whose patience is that of the tests; pynetdicom's own ends after 30 s."""
    entity = _Patient(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE_S
    return entity


_FIRST_LOOK_S, _LATER_LOOKS_S, _LOOK_LESS_OFTEN = 0.01, 0.15, 1.25


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that other threads and processes bring about.

    The longer it takes, the less often it looks: most conditions ask a database, and those who look take the
    processor from those who bring it about.
    """
    end = time.monotonic() + PATIENCE_S
    pause = _FIRST_LOOK_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)
        pause = min(pause * _LOOK_LESS_OFTEN, _LATER_LOOKS_S)
