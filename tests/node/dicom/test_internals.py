"""pynetdicom's inside is touched in one module; a release that changes it changes one module."""

import ast
import inspect
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import AE
from pynetdicom.acse import ACSE
from pynetdicom.association import Association, ServiceUser
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import StateMachine
from pynetdicom.timer import Timer
from pynetdicom.transport import (
    AssociationServer,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from node.dicom.pynetdicom_internals import keep_answers
from tests.patience import application_entity

NODE = Path(__file__).parents[3] / "node"
THE_ONE = NODE / "dicom" / "pynetdicom_internals.py"
INTERNAL_PARTS = {"acse", "dimse", "dul", "state_machine"}
"""Attributes of an association that lead to the objects which pynetdicom does not document for its users."""
OBJECTS = (
    ACSE, Association, DIMSEServiceProvider, DULServiceProvider, ServiceUser, StateMachine, Timer,
    AssociationServer, AssociationSocket, RequestHandler,
)  # fmt: skip
SUBCLASSED = (AssociationSocket, RequestHandler, AssociationServer, ThreadedAssociationServer)


def assigned_by(kind: type) -> set[str]:
    """Return the attributes that a class of pynetdicom gives its objects, and its methods."""
    trees = ast.walk(ast.parse(inspect.getsource(kind).lstrip()))
    assigned = {
        node.attr
        for node in trees
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    return assigned | set(vars(kind))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


PRIVATE = {
    name
    for source in Path(pynetdicom.__file__).parent.glob("*.py")
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    for name in (
        [node.attr] if isinstance(node, ast.Attribute)
        else [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef)
        else []
    )
    if is_private(name)
}  # fmt: skip
DOCUMENTED = {name for name, value in vars(AE).items() if isinstance(value, property) and value.fset}
"""Timeouts and such are set on an application entity, and have the same names on an association."""
ATTRIBUTES = {name for kind in OBJECTS for name in assigned_by(kind) | set(dir(kind))} - DOCUMENTED
OVERRIDDEN = {name for kind in OBJECTS for name in assigned_by(kind) if is_private(name)}


def touches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find what touches pynetdicom's inside; yields line and name."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("pynetdicom"):
                parts = [*module.split("."), *(alias.name for alias in names)]
                yield from ((node.lineno, part) for part in parts if is_private(part))
            case ast.Import(names=names):
                parts = [
                    part
                    for alias in names
                    if alias.name.startswith("pynetdicom")
                    for part in alias.name.split(".")
                ]
                yield from ((node.lineno, part) for part in parts if is_private(part))
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                pass  # ours, unless the class is pynetdicom's: see below
            case ast.Attribute(attr=name) if name in PRIVATE or name in INTERNAL_PARTS:
                yield node.lineno, name
            case ast.Attribute(ctx=ast.Store(), attr=name) if name in ATTRIBUTES:
                yield node.lineno, name
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"), args=[_, ast.Constant(value=name), *_]
            ) if name in PRIVATE | INTERNAL_PARTS:
                yield node.lineno, str(name)


def test_no_other_module_touches_what_pynetdicom_does_not_document() -> None:
    found = {
        f"{source.relative_to(NODE)}:{line} {name}"
        for source in NODE.rglob("*.py")
        if source != THE_ONE
        for line, name in touches(ast.parse(source.read_text(encoding="utf-8")))
    }
    assert not found


def test_no_class_elsewhere_overrides_or_reads_a_private_name_of_pynetdicom() -> None:
    """A subclass may be named anywhere; its private names must all be its own."""
    from node.receive.connection import Connection
    from node.receive.server import Server

    for ours in (Connection, Server):
        assert not OVERRIDDEN & set(vars(ours)), ours
        assert not OVERRIDDEN & assigned_by(ours), ours
        reads = {
            node.attr
            for node in ast.walk(ast.parse(inspect.getsource(ours)))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Call)
        }
        assert not OVERRIDDEN & reads, ours


def test_every_subclass_of_pynetdicom_is_in_the_one_module_or_known_here() -> None:
    import node.receive.listener  # noqa: F401 - with it come all

    def below(kind: type) -> Iterator[type]:
        children: list[type] = type.__subclasses__(kind)
        for child in children:
            yield child
            yield from below(child)

    elsewhere = {
        child.__qualname__
        for kind in (*SUBCLASSED, Association, DULServiceProvider)
        for child in below(kind)
        if child.__module__.startswith("node.") and child.__module__ != "node.dicom.pynetdicom_internals"
    }
    assert elsewhere == {"Connection", "Server"}


@pytest.mark.parametrize(
    "code",
    [
        "association._kill = True",
        "cx = self._association._accepted_cx",
        "association.dul.socket",
        "server = partial(event.assoc.acse.send_reject)",
        "from pynetdicom import _config",
        "from pynetdicom._handlers import doc_handle_acse",
        "association.run = faster",
        "association.is_aborted = True",
        "machine.do_action = faster",
        "setattr(association, '_serve_request', faster)",
    ],
)
def test_the_test_sees(code: str) -> None:
    assert list(touches(ast.parse(code)))


REFUSED = """
import gc, os, socket
from node.dicom.association import Peer, associated
from node.dicom.contexts import contexts_for
from node.errors import TransientError
gc.disable()
with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))  # not listened on
    peer = Peer("PACS", "127.0.0.1", taken.getsockname()[1], "NODE", 5.0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        try:
            with associated(peer, contexts_for(["1.2.840.10008.1.1"])):
                pass
        except TransientError:
            pass
    print(len(os.listdir("/proc/self/fd")) - before)
"""


def test_a_peer_that_is_down_costs_no_descriptor() -> None:
    told = subprocess.run([sys.executable, "-c", REFUSED], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "0"


def test_a_calling_connection_has_nagles_algorithm_off() -> None:
    from node.dicom.association import Peer, associated
    from node.dicom.contexts import contexts_for
    from node.errors import TransientError

    options = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = Peer("PACS", "127.0.0.1", listening.getsockname()[1], "NODE", 0.5)

        def note(event: pynetdicom.events.Event) -> None:
            connection = event.assoc.dul.socket.socket
            options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        handlers = [(pynetdicom.evt.EVT_CONN_OPEN, note)]
        with (
            pytest.raises(TransientError),
            associated(peer, contexts_for(["1.2.840.10008.1.1"]), handlers=handlers),
        ):
            pass
    assert options == [1]


def test_a_thread_that_has_passed_its_checkpoint_is_not_taken_for_one_that_rests() -> None:
    association = Association(application_entity("SENDER"), "requestor")
    keep_answers(association)
    checkpoint = association._reactor_checkpoint
    checkpoint.clear()
    association._is_paused = True
    rest = threading.Thread(target=checkpoint.wait)
    rest.start()
    checkpoint.set()
    rest.join()
    assert not association._is_paused
