"""The image counts of sources, asked by C-FIND: they show missing slices that geometry cannot."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from urllib.request import urlopen

import pytest
from pydicom import Dataset

from node.app import Node
from node.clock import SystemClock
from node.config import AssemblySettings, Configuration, Source, TlsSettings, WebSettings, parse
from node.dicom.association import Peer
from node.dicom.query import count_images, find_instances
from node.dicom.tls import source_arguments
from node.domain.study import StudyState
from node.errors import ConfigurationError, TransientError
from node.log import get_log
from node.operate.doctor import Severity, sources
from node.settle.source_counts import SourceCounts
from node.show.why import explain
from tests.certificates import Authority, Credentials
from tests.node.analyses import CLASSES
from tests.node.hostile import UNRESOLVABLE
from tests.node.nodes import quick, quick_node, running_pacs, send, slice_of, state_of
from tests.patience import wait_until
from tests.peers import Orthanc, free_port

STUDY = "1.2.826.0.1.1"
PATIENT = AssemblySettings(quiet_s=0.2, max_wait_s=600)


def asking(configuration: Configuration, port: int, tls: TlsSettings = TlsSettings()) -> Configuration:  # noqa: B008 - frozen
    loopback = ip_network("127.0.0.0/8")
    source = Source("ORTHANC", loopback, ask=True, host="127.0.0.1", port=port, tls=tls)
    return replace(configuration, sources=(source, Source("*", loopback)))


def a_pair(slices: int) -> list[Dataset]:
    return [slice_of(number, series=series) for series in "12" for number in range(slices)]


def over_tls(shown: Credentials) -> dict[str, object]:
    """Return settings by which Orthanc presents these credentials and requires ones of the same authority."""
    return {
        "DicomTlsEnabled": True, "DicomTlsCertificate": str(shown.certificate),
        "DicomTlsPrivateKey": str(shown.key), "DicomTlsTrustedCertificates": str(shown.ca),
    }  # fmt: skip


def why(node: Node, words: str) -> Callable[[], bool]:
    return lambda: words in explain(node.store, STUDY)


@pytest.mark.peers
def test_slices_that_are_missing_at_the_end_of_a_series_are_waited_for(tmp_path: Path) -> None:
    """Four of five slices are as evenly spaced as five; only Orthanc, which sent them, knows of the fifth."""
    images = a_pair(5)
    with Orthanc(tmp_path / "orthanc", {}) as orthanc, running_pacs() as pacs:
        for number, image in enumerate(images):
            image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        orthanc.store(sorted(tmp_path.glob("*.dcm")))
        configuration = asking(
            quick(tmp_path / "node", pacs.destination, assembly=PATIENT), orthanc.dicom_port
        )
        with quick_node(configuration, examine="examine_by_series") as node:
            send(node.port, *images[:-1], calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.WAITING_FOR_PAIR)
            assert why(node, "T2w series: ORTHANC has 5 images, 4 are here")()
            send(node.port, images[-1], calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert why(node, "T1w: ORTHANC counts 5 images too; T2w: ORTHANC counts 5 images too")()
        assert len(pacs.received) == len(CLASSES)
        peer = Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port, "OSTEONODE", 5.0)
        assert find_instances(peer, STUDY, [f"{STUDY}.1"]) == {image.SOPInstanceUID for image in images[:5]}
        assert count_images(peer, "1.2.3") == {}


@pytest.mark.peers
def test_a_source_that_speaks_tls_is_asked_over_tls_and_no_impostor_is_believed(
    tmp_path: Path, written: StringIO
) -> None:
    images = a_pair(5)
    authority = Authority(tmp_path / "authority")
    ours, theirs = authority.issue("node"), authority.issue("orthanc")
    stranger = replace(ours.settings, ca=Authority(tmp_path / "elsewhere").certificate)
    with Orthanc(tmp_path / "orthanc", over_tls(theirs)) as orthanc:
        for number, image in enumerate(images):
            image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        orthanc.store(sorted(tmp_path.glob("*.dcm")))
        base = quick(tmp_path / "node", assembly=PATIENT)
        with quick_node(asking(base, orthanc.dicom_port, ours.settings), examine="examine_by_series") as node:
            send(node.port, *images[:-1], calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.WAITING_FOR_PAIR)
            assert why(node, "T2w series: ORTHANC has 5 images, 4 are here")()
        base = quick(tmp_path / "suspicious", assembly=PATIENT)
        with quick_node(asking(base, orthanc.dicom_port, stranger), examine="examine_by_series") as node:
            send(node.port, *images, calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert why(node, "ORTHANC was not asked: it cannot be reached")()
        (finding,) = sources(asking(base, orthanc.dicom_port, ours.settings))
        assert finding.message == "answers, and can be asked how many images a series has"
        for wrong in (stranger, TlsSettings()):
            (finding,) = sources(asking(base, orthanc.dicom_port, wrong))
            assert (finding.severity, finding.message) == (Severity.WARNING, "it cannot be reached")
    assert "source_not_asked" in written.getvalue()


@pytest.mark.peers
def test_a_source_with_a_revoked_certificate_is_not_believed(tmp_path: Path, written: StringIO) -> None:
    images = a_pair(5)
    authority = Authority(tmp_path / "authority")
    ours, theirs, lost = (authority.issue(name) for name in ("node", "orthanc", "lost"))
    trust = replace(ours.settings, crl=authority.revocation_list(lost))
    with Orthanc(tmp_path / "orthanc", over_tls(theirs)) as orthanc:
        for number, image in enumerate(images):
            image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        orthanc.store(sorted(tmp_path.glob("*.dcm")))
        configuration = asking(quick(tmp_path / "node", assembly=PATIENT), orthanc.dicom_port, trust)
        arguments = source_arguments(configuration.sources[0])
        peer = Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port, "OSTEONODE", 5.0, arguments)
        assert set(count_images(peer, STUDY).values()) == {5}
        # The connection settings are unchanged, but the revocation list is another one.
        authority.revocation_list(theirs)
        with pytest.raises(TransientError, match="cannot be reached"):
            count_images(peer, STUDY)
        (finding,) = sources(configuration)
        assert (finding.severity, finding.message) == (Severity.WARNING, "it cannot be reached")
        with quick_node(configuration, examine="examine_by_series") as node:
            send(node.port, *images, calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert why(node, "ORTHANC was not asked: it cannot be reached")()
    assert "source_not_asked" in written.getvalue()


def test_tls_that_asks_nobody_is_a_fault() -> None:
    there = '[[sources]]\nae_title = "A"\nnetwork = "127.0.0.0/8"\n'
    with pytest.raises(ConfigurationError, match=r"config.toml:5: sources\.tls\.ca is for asking it"):
        parse(f'{there}[sources.tls]\nca = "a"\n')
    with pytest.raises(ConfigurationError, match=r"sources\.tls\.ca must name the authorities"):
        parse(f'{there}ask = true\nhost = "h"\n[sources.tls]\nserver_name = "a"\n')


def test_files_that_are_no_certificates_are_told_before_anybody_is_asked(tmp_path: Path) -> None:
    nothing = TlsSettings(ca=tmp_path / "missing.pem")
    configuration = asking(quick(tmp_path), free_port(), nothing)
    (finding,) = sources(configuration)
    assert finding.severity is Severity.FAULT
    assert "sources.tls of ORTHANC: ca holds no certificates" in finding.message
    with pytest.raises(ConfigurationError, match=r"sources\.tls of ORTHANC"):
        SourceCounts(configuration.sources, calling="OSTEONODE", clock=SystemClock(), log=get_log())


def test_a_source_that_is_down_holds_up_nothing(tmp_path: Path) -> None:
    configuration = asking(quick(tmp_path, assembly=PATIENT), free_port())
    with quick_node(configuration, examine="examine_by_series") as node:
        send(node.port, *a_pair(3), calling="ORTHANC")
        wait_until(lambda: state_of(node) is StudyState.DELIVERED)


def test_only_the_source_that_sent_is_asked(tmp_path: Path) -> None:
    with running_pacs() as asked:  # it supports no C-FIND, so it would only see an association
        configuration = asking(quick(tmp_path, assembly=PATIENT), asked.port)
        with quick_node(configuration, examine="examine_by_series") as node:
            send(node.port, *a_pair(3), calling="SCANNER")
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
        assert asked.associations == 0


def test_a_peer_that_takes_no_c_find_is_told_apart() -> None:
    with running_pacs() as pacs, pytest.raises(TransientError, match="takes no C-FIND"):
        count_images(Peer("PACS", "127.0.0.1", pacs.port, "OSTEONODE", 5.0), STUDY)


def test_whom_to_ask_must_be_told() -> None:
    with pytest.raises(ConfigurationError, match="ask needs the source's one AE title and its host"):
        parse('[[sources]]\nae_title = "*"\nnetwork = "127.0.0.0/8"\nask = true\n')


@pytest.mark.parametrize("host", UNRESOLVABLE)
def test_a_source_whose_name_does_not_resolve_is_an_outage_that_is_told(tmp_path: Path, host: str) -> None:
    """Every study is judged without its counts, and `why`, page and metrics say so."""
    with running_pacs() as pacs:
        configuration = asking(quick(tmp_path, pacs.destination, assembly=PATIENT), 104)
        first, others = configuration.sources
        configuration = replace(
            configuration,
            sources=(replace(first, host=host), others),
            web=WebSettings(port=free_port()),
        )
        with quick_node(configuration, examine="examine_by_series") as node:
            send(node.port, *a_pair(5), calling="ORTHANC")
            wait_until(lambda: state_of(node) is StudyState.DELIVERED)
            assert why(node, "ORTHANC was not asked: its host name cannot be resolved")()
            page, metrics = (shown(configuration, path) for path in ("/", "/metrics"))
    assert "ORTHANC gives no counts: its host name cannot be resolved" in page
    assert 'osteonode_peer_fault{kind="source",peer="ORTHANC",reason="its host name cannot be resolved"}' in (
        metrics
    )


def shown(configuration: Configuration, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{configuration.web.port}{path}") as answer:
        return str(answer.read().decode())
