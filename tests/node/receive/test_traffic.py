"""The log says at the end of each association what it brought."""

import json
import threading
from io import StringIO
from pathlib import Path
from typing import Any

from node.domain.audit import Party
from node.log import get_log
from node.receive.traffic import AssociationTraffic
from tests.node.nodes import encode, open_association, quick, quick_node, send, slice_of
from tests.node.outboxes import FrozenClock
from tests.patience import wait_until


def told(written: StringIO) -> list[dict[str, Any]]:
    lines = map(json.loads, written.getvalue().splitlines())
    return [line for line in lines if line["event"] == "association_ended"]


def test_an_association_that_ends_is_told_with_what_it_brought(tmp_path: Path, written: StringIO) -> None:
    images = [slice_of(1), slice_of(2), slice_of(3)]
    del images[2].StudyInstanceUID
    with quick_node(quick(tmp_path)) as node:
        send(node.port, images[0], images[0], images[1], images[2], calling="SCANNER")
        wait_until(lambda: told(written))
        association = open_association(node.port, slice_of(4))
        association.send_c_store(slice_of(4))
        association.abort()
        wait_until(lambda: len(told(written)) == 2)
    released, aborted = told(written)
    assert (released["ae_title"], released["host"], released["state"]) == ("SCANNER", "127.0.0.1", "released")
    assert (released["kept"], released["refused"]) == (3, 1)
    sent = [encode(image, image.file_meta.TransferSyntaxUID) for image in (images[0], *images)]
    assert released["bytes"] == sum(map(len, sent))
    assert 0 <= released["seconds"] < 60
    assert (aborted["ae_title"], aborted["state"], aborted["kept"]) == ("SENDER", "cut off", 1)


def test_what_is_still_being_stored_at_the_end_is_waited_for(written: StringIO) -> None:
    clock = FrozenClock()
    traffic = AssociationTraffic(clock, get_log())
    association = threading.Thread()
    traffic.end(association, "cut off")
    traffic.begin(association, Party("SCANNER", "127.0.0.1", is_requestor=True))
    counts = traffic.receive(association, 10)
    clock.go_on(seconds=2)
    traffic.end(association, "released")
    assert not told(written)
    clock.go_on(seconds=2)
    traffic.end(association, "cut off")
    traffic.answer(counts, kept=False)
    traffic.answer(counts, kept=True)
    (line,) = told(written)
    assert (line["state"], line["seconds"], line["bytes"]) == ("released", 2.0, 10)
    assert (line["kept"], line["refused"]) == (0, 1)
