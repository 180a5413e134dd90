"""Mutual TLS with DCMTK in both directions, and what those without the right certificate get."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from select import select
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from dicom_templates.result_kinds import ResultKind
from node.app import Node
from node.config import Configuration, Destination, Source, TlsSettings, parse
from node.deliver.carriers.stow import StowCarrier
from node.dicom.tls import client_arguments, server_context
from node.domain.study import StudyState
from node.errors import ConfigurationError, TransientError
from node.show.why import explain
from tests.certificates import Authority, Credentials
from tests.node.deliver.test_stow import web_server
from tests.node.nodes import quick, quick_node, send, slice_of, state_of
from tests.node.wire import (
    COMMAND,
    P_DATA,
    Wire,
    in_fragments,
    pdu,
    request_association,
    store_parts,
    store_pdu,
)
from tests.patience import LOOK_S, PATIENCE_S, application_entity, wait_until
from tests.peers import StoreScp, build_loopback_shim, program, run

GREETING_S = 1.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Credentials:
    return authority.issue("node")


@pytest.fixture(scope="module")
def senders(authority: Authority) -> Credentials:
    return authority.issue("sender")


@pytest.fixture(scope="module")
def secure_node(tmp_path_factory: pytest.TempPathFactory, ours: Credentials) -> Iterator[Node]:
    base = quick(tmp_path_factory.mktemp("secure"))
    settings = replace(base.node, tls=ours.settings)
    with quick_node(replace(base, node=settings)) as node:
        yield node


@pytest.fixture(scope="module")
def hasty_node(tmp_path_factory: pytest.TempPathFactory, ours: Credentials) -> Iterator[Node]:
    """Return a node that gives a handshake little time."""
    base = quick(tmp_path_factory.mktemp("hasty"))
    settings = replace(base.node, tls=ours.settings, greeting_timeout_s=GREETING_S)
    with quick_node(replace(base, node=settings)) as node:
        yield node


def send_by_dcmtk(node: Node, folder: Path, *options: str | Path) -> None:
    storescu = program("storescu", "dcmtk")
    run([storescu, *options, "-aec", "OSTEONODE", "127.0.0.1", str(node.port), "+sd", folder])


def as_tls(credentials: Credentials) -> list[str | Path]:
    return ["+tls", credentials.key, credentials.certificate, "+cf", credentials.ca]


@pytest.fixture
def folder(tmp_path: Path, study: str) -> Path:
    """Return a folder with one image of the study."""
    folder = tmp_path / "images"
    folder.mkdir()
    slice_of(1, study=study).save_as(folder / "1.dcm", enforce_file_format=True)
    return folder


@pytest.mark.peers
def test_dcmtk_with_a_certificate_is_let_in(
    secure_node: Node, senders: Credentials, folder: Path, study: str
) -> None:
    send_by_dcmtk(secure_node, folder, *as_tls(senders))
    assert len(secure_node.store.instances(study)) == 1


@pytest.fixture(params=["nobody", "a stranger", "plain"])
def impostor(request: pytest.FixtureRequest, senders: Credentials, tmp_path: Path) -> Sequence[str | Path]:
    """Return what makes DCMTK come without a certificate that we believe."""
    stranger = Authority(tmp_path / "elsewhere").issue("PLANTED^NAME")
    options: dict[str, Sequence[str | Path]] = {
        "nobody": ["+tla", "-ic"],
        "a stranger": as_tls(replace(stranger, ca=senders.ca)),
        "plain": [],
    }
    return options[request.param]


@pytest.mark.peers
def test_dcmtk_without_the_right_certificate_is_turned_away_and_that_is_told(
    secure_node: Node, impostor: Sequence[str | Path], folder: Path, study: str, written: StringIO
) -> None:
    with pytest.raises(AssertionError, match="ended with"):
        send_by_dcmtk(secure_node, folder, *impostor)
    assert not secure_node.store.instances(study)
    wait_until(lambda: "connection_refused" in written.getvalue())
    line = json.loads(next(line for line in written.getvalue().splitlines() if "connection_refused" in line))
    assert line["host"] == "127.0.0.1"
    assert line["reason"].startswith("TLS: ")
    assert "PLANTED" not in written.getvalue()


def test_where_ca_holds_a_senders_own_certificate_only_that_one_is_let_in(
    tmp_path: Path, ours: Credentials, senders: Credentials, authority: Authority
) -> None:
    base = quick(tmp_path)
    pinned = replace(ours.settings, ca=senders.certificate)
    with quick_node(replace(base, node=replace(base.node, tls=pinned))) as node:
        echo_once(node, senders)
        with pytest.raises(AssertionError):
            echo_once(node, authority.issue("other"))


def test_versions_before_1_2_are_not_spoken(secure_node: Node, senders: Credentials) -> None:
    context = ssl.create_default_context(cafile=senders.ca)
    context.load_cert_chain(senders.certificate, senders.key)
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", secure_node.port)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


@contextmanager
def secured_wire(node: Node, credentials: Credentials) -> Iterator[Wire]:
    """Connect over TLS."""
    context = ssl.create_default_context(cafile=credentials.ca)
    context.load_cert_chain(credentials.certificate, credentials.key)
    with (
        socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        yield Wire(secured)


def echo_once(node: Node, credentials: Credentials) -> None:
    """Make an association and an echo over TLS."""
    destination = Destination(
        "n", "OSTEONODE", "127.0.0.1", node.port, (ResultKind.SR,), tls=credentials.settings
    )
    ae = application_entity("SENDER")
    ae.add_requested_context("1.2.840.10008.1.1")
    tls = client_arguments(destination)
    association = ae.associate("127.0.0.1", node.port, ae_title="OSTEONODE", tls_args=tls)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_objects_that_wait_for_no_answer_are_all_taken(
    secure_node: Node, senders: Credentials, study: str
) -> None:
    """What TLS has read ahead of the object that is being stored is not forgotten."""
    with secured_wire(secure_node, senders) as wire:
        request_association(wire)
        wire.send(*(store_pdu(study, number) for number in range(1, 30)))
        assert [wire.status() for _ in range(1, 30)] == [0] * 29
    assert len(secure_node.store.instances(study)) == 29


def test_many_small_pdus_in_one_record_are_all_read(
    secure_node: Node, senders: Credentials, study: str
) -> None:
    request, payload = store_parts(study, 1)
    parts = [*in_fragments(request, 10, COMMAND), *in_fragments(payload, 10, 0)]
    with secured_wire(secure_node, senders) as wire:
        request_association(wire)
        wire.send(*(pdu(P_DATA, part) for part in parts))
        assert wire.status() == 0


def test_one_that_floods_us_with_what_is_refused_at_once_does_not_starve_others(
    tmp_path: Path, ours: Credentials, senders: Credentials, study: str
) -> None:
    loopback = ip_network("127.0.0.0/8")
    base = quick(tmp_path)
    sources = (Source("GREEDY", loopback, max_instances_per_hour=1), Source("*", loopback))
    settings = replace(base.node, tls=ours.settings)
    with quick_node(replace(base, node=settings, sources=sources)) as node, ExitStack() as stack:
        greedy = stack.enter_context(secured_wire(node, senders))
        request_association(greedy, calling="GREEDY")
        count = 200
        flood = b"".join(store_pdu(study, number) for number in range(count))
        ended = threading.Event()

        def pour() -> None:
            """Have one to two floods under way; in one thread, as TLS is not for two at once."""
            with suppress(OSError):
                greedy.send(flood)
                while not ended.is_set():
                    greedy.send(flood)
                    for _ in range(count):
                        greedy.status()

        pouring = threading.Thread(target=pour, daemon=True)
        pouring.start()
        try:
            with secured_wire(node, senders) as wire:
                request_association(wire)
                for number in range(5):
                    wire.send(store_pdu(f"{study}.7", number))
                    assert wire.status() == 0
        finally:
            ended.set()
            pouring.join(PATIENCE_S)


@contextmanager
def silent_clients(node: Node) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S))
            for _ in range(5)
        ]


def test_silent_clients_delay_nobody(secure_node: Node, senders: Credentials) -> None:
    """Were the handshake in the accept loop, the first of them alone would cost all of the patience."""
    with silent_clients(secure_node):
        echo_once(secure_node, senders)


def test_silent_clients_are_cut_off(hasty_node: Node) -> None:
    with silent_clients(hasty_node) as silent:
        assert all(connection.recv(1) == b"" for connection in silent)


def test_a_handshake_that_drips_ends_with_its_time(hasty_node: Node) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
    sent = 0
    with socket.create_connection(("127.0.0.1", hasty_node.port)) as dripping, suppress(OSError):
        for byte in hello:
            dripping.sendall(bytes([byte]))
            sent += 1
            time.sleep(GREETING_S / 10)
    assert sent < len(hello)


@pytest.mark.peers
def test_results_go_to_dcmtk_over_tls_and_to_no_impostor(
    tmp_path: Path, ours: Credentials, authority: Authority, study: str
) -> None:
    pacs = authority.issue("pacs")
    shim = build_loopback_shim(tmp_path)
    options = ("+xa", "+tls", str(pacs.key), str(pacs.certificate), "+cf", str(pacs.ca))
    stranger = Authority(tmp_path / "elsewhere")
    with StoreScp(tmp_path / "received", shim, options) as scp:

        def to(ca: Path, server_name: str = "") -> Destination:
            tls = replace(ours.settings, ca=ca, server_name=server_name)
            return Destination("pacs", "STORESCP", "127.0.0.1", scp.port, tls=tls)

        for wrong in (to(stranger.certificate), to(ours.ca, "pacs.example.org")):
            with quick_node(quick(tmp_path / wrong.tls.server_name / "wrong", wrong)) as node:
                send(node.port, slice_of(1, study=study))
                wait_until(lambda: "it cannot be reached" in explain(node.store, study))
        assert not list((tmp_path / "received").iterdir())
        with quick_node(quick(tmp_path / "right", to(ours.ca))) as node:
            send(node.port, slice_of(1, study=study))
            wait_until(lambda: state_of(node, study) is StudyState.DELIVERED)
    assert list((tmp_path / "received").iterdir())


@pytest.fixture
def authority_with_lists(tmp_path: Path) -> Authority:
    """Return an authority of the test's own: a list names what it revoked for good."""
    return Authority(tmp_path / "authority")


def secured(base: Configuration, credentials: Credentials, crl: Path) -> Configuration:
    return replace(base, node=replace(base.node, tls=replace(credentials.settings, crl=crl)))


@pytest.mark.peers
def test_a_revoked_sender_is_turned_away_as_soon_as_the_list_names_it(
    tmp_path: Path, authority_with_lists: Authority, folder: Path, study: str, written: StringIO
) -> None:
    node_s, sound, lost = (authority_with_lists.issue(name) for name in ("node", "sound", "lost"))
    crl = authority_with_lists.revocation_list()
    with quick_node(secured(quick(tmp_path / "var"), node_s, crl)) as node:
        send_by_dcmtk(node, folder, *as_tls(lost))
        assert len(node.store.instances(study)) == 1
        authority_with_lists.revocation_list(lost)
        with pytest.raises(AssertionError, match="ended with"):
            send_by_dcmtk(node, folder, *as_tls(lost))
        wait_until(lambda: "TLS: certificate verify failed: certificate revoked" in written.getvalue())
        send_by_dcmtk(node, folder, *as_tls(sound))


def said_of(node: Node, study: str, words: str) -> bool:
    return words in explain(node.store, study)


@pytest.mark.peers
def test_nothing_is_sent_to_a_revoked_destination(
    tmp_path: Path, authority_with_lists: Authority, study: str
) -> None:
    ours, sound, lost = (authority_with_lists.issue(name) for name in ("node", "sound", "lost"))
    trust = replace(ours.settings, crl=authority_with_lists.revocation_list(lost))
    shim = build_loopback_shim(tmp_path)
    for pacs, outcome in ((lost, "it cannot be reached"), (sound, "1 sent")):
        options = ("+xa", "+tls", str(pacs.key), str(pacs.certificate), "+cf", str(pacs.ca))
        with StoreScp(tmp_path / f"received by {pacs.certificate.stem}", shim, options) as scp:
            there = Destination("pacs", "STORESCP", "127.0.0.1", scp.port, (ResultKind.SR,), tls=trust)
            with quick_node(quick(tmp_path / pacs.certificate.stem, there)) as node:
                send(node.port, slice_of(1, study=study))
                wait_until(partial(said_of, node, study, outcome))
    assert not list((tmp_path / "received by lost").iterdir())


@pytest.mark.parametrize("believed", ["its own", "another"])
def test_an_archive_on_the_web_is_believed_by_its_own_authority_only_whatever_the_environment_says(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, believed: str
) -> None:
    archive, other = authority.issue("web archive"), Authority(tmp_path / "elsewhere").certificate
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secured.load_cert_chain(archive.certificate, archive.key)
    ca = archive.ca if believed == "its own" else other
    # A bundle that the administrator of the machine, and not the configuration, believes in.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other if believed == "its own" else archive.ca))
    with web_server(200, b"[]", tls=secured) as port:
        there = Destination("web", stow_url=f"https://127.0.0.1:{port}", tls=TlsSettings(ca=ca))
        carrier = StowCarrier(there, tmp_path, 9)
        if believed == "its own":
            carrier.reach()
        else:
            with pytest.raises(TransientError, match="its certificate is not trusted"):
                carrier.reach()


@contextmanager
def web_archive(credentials: Credentials) -> Iterator[tuple[str, list[str]]]:
    """Answer by HTTPS; yield the address, and the names that it is asked for."""
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secured.load_cert_chain(credentials.certificate, credentials.key)
    asked: list[str] = []
    secured.sni_callback = lambda _connection, name, _context: asked.append(name or "")
    with web_server(200, b"[]", tls=secured) as port:
        yield f"https://127.0.0.1:{port}", asked


@pytest.mark.parametrize(
    ("holds", "server_name", "believed"),
    [
        ("DNS:archive.example", "archive.example", True),
        ("DNS:archive.example", "", False),
        ("DNS:archive.example", "other.example", False),
        ("IP:127.0.0.1", "", True),
        ("IP:127.0.0.1", "archive.example", False),
    ],
)
def test_an_archive_on_the_web_has_the_name_that_is_configured(
    tmp_path: Path, authority: Authority, holds: str, server_name: str, *, believed: bool
) -> None:
    archive = authority.issue("named archive", holds=holds)
    with web_archive(archive) as (address, asked):
        trust = TlsSettings(ca=archive.ca, server_name=server_name)
        carrier = StowCarrier(Destination("web", stow_url=address, tls=trust), tmp_path, 9)
        if believed:
            carrier.reach()
        else:
            with pytest.raises(TransientError, match="its certificate is not trusted"):
                carrier.reach()
        # Behind one address there may be several archives, each with a certificate of its own.
        assert asked[0] == server_name


@contextmanager
def proxy() -> Iterator[tuple[int, list[str]]]:
    """Tunnel to wherever it is asked to; yield the port, and where that was."""
    asked: list[str] = []

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            place = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            asked.append(place)
            host, _, port = place.partition(":")
            with socket.create_connection((host, int(port))) as there:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                ends = {self.connection: there, there: self.connection}
                while True:
                    data = [(end, end.recv(65536)) for end in select(list(ends), [], [])[0]]
                    for end, part in data:
                        if not part:
                            return
                        ends[end].sendall(part)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(LOOK_S,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("by_proxy", [False, True], ids=["directly", "by proxy"])
@pytest.mark.parametrize("name", ["sound", "lost"])
def test_an_archive_with_a_revoked_certificate_gets_nothing_by_web_either(
    tmp_path: Path,
    authority_with_lists: Authority,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    by_proxy: bool,
) -> None:
    archive, lost = (authority_with_lists.issue(of) for of in (f"{name} archive", "lost"))
    crl = authority_with_lists.revocation_list(*((lost, archive) if name == "lost" else (lost,)))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with web_archive(archive) as (address, _), proxy() as (port, tunnels):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}" if by_proxy else "")
        there = Destination("web", stow_url=address, tls=TlsSettings(ca=archive.ca, crl=crl))
        carrier = StowCarrier(there, tmp_path, 9)
        if name == "sound":
            carrier.reach()
        else:
            with pytest.raises(TransientError, match="its certificate is not trusted"):
                carrier.reach()
        assert bool(tunnels) is by_proxy


def test_a_list_that_has_expired_lets_nobody_in(tmp_path: Path, authority_with_lists: Authority) -> None:
    node_s, sender = (authority_with_lists.issue(name) for name in ("node", "sender"))
    crl = authority_with_lists.revocation_list(hours=0.5)
    with (
        quick_node(secured(quick(tmp_path / "var"), node_s, crl)) as node,
        pytest.raises(AssertionError),
    ):
        echo_once(node, sender)


def test_a_list_that_vanished_holds_on(tmp_path: Path, authority_with_lists: Authority) -> None:
    node_s, sender, lost = (authority_with_lists.issue(name) for name in ("node", "sender", "lost"))
    crl = authority_with_lists.revocation_list(lost)
    with quick_node(secured(quick(tmp_path / "var"), node_s, crl)) as node:
        crl.write_text("half written")
        echo_once(node, sender)
        crl.unlink()
        echo_once(node, sender)
        with pytest.raises(AssertionError):
            echo_once(node, lost)


def certificate_shown(node: Node, sender: Credentials) -> bytes:
    context = ssl.create_default_context(cafile=str(sender.ca))
    context.load_cert_chain(sender.certificate, sender.key)
    with (
        socket.create_connection(("127.0.0.1", node.port), 20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_needs_no_restart(tmp_path: Path) -> None:
    """Written one file after the other, as renewal programs do: between the two, the old pair holds."""
    authority = Authority(tmp_path / "authority")
    ours, sender, renewed = (authority.issue(name) for name in ("node", "sender", "renewed"))
    old, new = (ssl.PEM_cert_to_DER_cert(one.certificate.read_text()) for one in (ours, renewed))
    base = quick(tmp_path / "var")
    with quick_node(replace(base, node=replace(base.node, tls=ours.settings))) as node:
        assert certificate_shown(node, sender) == old
        ours.key.write_bytes(renewed.key.read_bytes())
        assert certificate_shown(node, sender) == old
        ours.certificate.write_bytes(renewed.certificate.read_bytes())
        assert certificate_shown(node, sender) == new


def test_a_sender_that_is_taken_out_of_ca_is_turned_away_at_once(
    tmp_path: Path, authority: Authority
) -> None:
    ours, kept, lost = (authority.issue(name) for name in ("node", "kept", "lost"))
    let_in = tmp_path / "let in.pem"
    let_in.write_bytes(kept.certificate.read_bytes() + lost.certificate.read_bytes())
    base = quick(tmp_path / "var")
    settings = replace(base.node, tls=replace(ours.settings, ca=let_in))
    with quick_node(replace(base, node=settings)) as node:
        echo_once(node, lost)
        let_in.write_bytes(kept.certificate.read_bytes())
        echo_once(node, kept)
        with pytest.raises(AssertionError):
            echo_once(node, lost)


def test_what_is_no_certificate_is_a_fault_of_the_configuration(tmp_path: Path, ours: Credentials) -> None:
    (tmp_path / "empty.pem").write_text("")
    other = Authority(tmp_path).issue("other")
    for wrong in (
        replace(ours.settings, ca=tmp_path / "missing.pem"),
        replace(ours.settings, ca=tmp_path / "empty.pem"),
        replace(ours.settings, key=other.key),
        replace(ours.settings, crl=tmp_path / "missing.pem"),
        replace(ours.settings, crl=tmp_path / "empty.pem"),
        replace(ours.settings, crl=ours.ca),
    ):
        with pytest.raises(ConfigurationError, match=r"node\.tls"):
            server_context(wrong)
        with pytest.raises(ConfigurationError, match="pacs"):
            client_arguments(replace(Destination(), tls=wrong))
    assert server_context(TlsSettings()) is None


def test_a_listener_with_half_of_its_files_is_a_fault() -> None:
    for half in ('certificate = "a"', 'key = "a"', 'ca = "a"', 'crl = "a"', 'certificate = "a"\nkey = "b"'):
        with pytest.raises(ConfigurationError, match="tls"):
            parse(f"[node.tls]\n{half}\n")
    there = '[[destinations]]\nname = "a"\nae_title = "A"\nhost = "h"\nport = 1\n'
    for half in ('[destinations.tls]\nserver_name = "a"\n', 'tls = {server_name = "a"}\n'):
        with pytest.raises(ConfigurationError, match=r"config.toml:6: destinations\.tls\.ca"):
            parse(there + half)
