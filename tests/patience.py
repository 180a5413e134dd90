"""How long the tests wait for others: until it happens, on however slow a machine."""

import time
from collections.abc import Callable
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from node.dicom.pynetdicom_internals import keep_answers

PATIENCE_S = 600.0
"""Ends a wait for what never happens; a single sync was seen to take half a minute on a busy machine.

What a node does after a short limit of its own is waited for just as long, by its effect. Only a wait that
shall end in vain has a short time of its own, so that a slow machine cannot fail it.
"""


class _Patient(AE):  # type: ignore[misc]  # pynetdicom has no types
    """An application entity that misses no answer, however busy the machine is."""

    def _create_socket(self, association: Association, *arguments: Any) -> AssociationSocket:
        keep_answers(association)
        return super()._create_socket(association, *arguments)


def application_entity(title: str) -> AE:
    """Make a sender or an archive whose patience is that of the tests; pynetdicom's own ends after 30 s."""
    entity = _Patient(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = PATIENCE_S
    return entity


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that other threads and processes bring about."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
