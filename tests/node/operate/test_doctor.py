import os
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydicom.uid import EnhancedSRStorage
from pynetdicom import evt

from analysis.domain.findings import Target
from analysis.settings import SegmentationSettings
from dicom_templates.result_kinds import SrClass
from node.clock import SystemClock
from node.config import ArchiveSettings, Configuration, Method, ModelSettings, Source, StoreSettings
from node.domain.completeness import Patience
from node.operate.doctor import (
    CHECKS,
    CheckResult,
    Severity,
    certificates,
    clock,
    database,
    disk,
    listener,
    model,
    run_checks,
    segmenter,
)
from node.operate.doctor.archives import archives
from node.operate.doctor.clock import Reading
from node.operate.doctor.machine import storage
from node.store.sql import SqlStore
from tests.certificates import Authority
from tests.node.deliver.test_stow import by_web, web_server
from tests.node.fetch.archives.hostile import Dimse, Web, served, served_by_web
from tests.node.hostile import UNRESOLVABLE
from tests.node.nodes import Pacs, quick, quick_node, running_pacs
from tests.node.store.suite.studies import arrival
from tests.peers import free_port
from tests.postgres import Postgres


def worst_of(findings: Sequence[CheckResult], subject: str) -> CheckResult:
    return max((f for f in findings if f.subject.startswith(subject)), key=lambda finding: finding.severity)


def look(configuration: Configuration) -> list[CheckResult]:
    """Run every check except that of the model, which takes seconds to load."""
    return list(run_checks(configuration, [check for check in CHECKS if check is not model]))


def test_a_node_with_a_willing_pacs_is_well(tmp_path: Path) -> None:
    with running_pacs(echo=True) as pacs:
        findings = look(quick(tmp_path, pacs.destination))
    assert "takes all results" in " ".join(finding.message for finding in findings)
    assert worst_of(findings, "listener").severity is Severity.GOOD
    assert worst_of(findings, "codecs").severity is Severity.GOOD
    assert max(finding.severity for finding in findings) <= Severity.WARNING


def test_each_archive_is_asked_and_one_that_moves_must_be_a_source(tmp_path: Path) -> None:
    knows_nobody = Web(answer=lambda path: (204 if path == "/studies" else 404, "text/html", ()))
    with served(Dimse()) as dimse, served_by_web(knows_nobody) as web:
        by_move = ArchiveSettings(name="by-move", ae_title="ARCHIVE", port=dimse.port)
        url = f"http://127.0.0.1:{web.port}"
        by_web = ArchiveSettings(name="by-web", method=Method.DICOMWEB, url=url, authorization="secret")
        lost = replace(by_web, name="lost", url=f"{url}/web")
        down = ArchiveSettings(name="down", method=Method.GET, port=free_port())
        named = Source(ae_title="SCANNER")
        configuration = quick(tmp_path, archives=(by_move, by_web, lost, down))
        well = list(archives(configuration))
        stranger = worst_of(list(archives(replace(configuration, sources=(named,)))), "archive by-move")
    assert worst_of(well, "archive by-move").severity is Severity.GOOD
    assert (stranger.severity, "rejected" in stranger.message) == (Severity.FAULT, True)
    assert "without encryption" in worst_of(well, "archive by-web").message
    assert (
        worst_of(well, "archive lost").message
        == "it answered HTTP 404: nothing is at this address; check url"
    )
    assert "secret" not in str(well)
    assert "cannot be reached" in worst_of(well, "archive down").message


def test_a_database_is_looked_at_and_none_is_made(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    (empty,) = database(configuration)
    assert (empty.severity, list(tmp_path.iterdir())) == (Severity.GOOD, [])
    with quick_node(configuration):
        (running,) = database(configuration)
        (young,) = disk(configuration)
    assert (young.severity, young.message) == (
        Severity.GOOD,
        "how long it lasts is told after 4 days of work",
    )
    assert (running.severity, running.message) == (
        Severity.GOOD,
        "answers, and no study in it waits for a person",
    )
    (tmp_path / "osteonode.db").write_bytes(b"no database any more" * 500)
    (broken,) = database(configuration)
    assert broken.severity is Severity.FAULT
    assert "the database is damaged, or its file is none" in broken.message


def test_every_finding_that_is_not_good_says_how_to_mend_it(tmp_path: Path) -> None:
    dead = Pacs(port=free_port()).destination
    thirsty = replace(quick(tmp_path, dead), sources=())
    thirsty = replace(thirsty, storage=replace(thirsty.storage, watermark_mb=2**40))
    findings = look(thirsty)
    assert all(finding.remedy for finding in findings if finding.severity is not Severity.GOOD)
    assert {finding.subject.split()[0] for finding in findings if finding.severity is Severity.FAULT} >= {
        "storage", "sources", "destination",
    }  # fmt: skip


@pytest.mark.parametrize("host", UNRESOLVABLE)
def test_a_name_that_does_not_resolve_is_told_for_sources_and_destinations(tmp_path: Path, host: str) -> None:
    lost = replace(Pacs(port=free_port()).destination, host=host)
    asked = Source("SCANNER", ip_network("127.0.0.0/8"), ask=True, host=host)
    findings = look(replace(quick(tmp_path, lost), sources=(asked,)))
    for subject in ("source SCANNER", "destination"):
        assert worst_of(findings, subject).message == "its host name cannot be resolved"


def test_a_pacs_that_takes_only_some_kinds_is_a_warning_that_names_the_others(tmp_path: Path) -> None:
    with running_pacs(echo=True, classes=(EnhancedSRStorage,)) as pacs:
        finding = worst_of(look(quick(tmp_path, pacs.destination)), "destination pacs")
    assert finding.severity is Severity.WARNING
    assert "sr, seg, summary" in finding.message


def test_a_pacs_is_asked_for_the_class_of_report_that_is_meant_for_it(tmp_path: Path) -> None:
    with running_pacs(echo=True) as pacs:
        modern = replace(pacs.destination, sr_class=SrClass.COMPREHENSIVE_3D)
        finding = worst_of(look(quick(tmp_path, modern)), "destination pacs")
    assert finding.severity is Severity.WARNING
    assert finding.message.endswith("takes none of these results: sr")


def test_a_pacs_that_does_not_know_its_title_is_a_fault(tmp_path: Path) -> None:
    with running_pacs(echo=True) as pacs:
        wrong = replace(pacs.destination, ae_title="OTHER")
        finding = worst_of(look(quick(tmp_path, wrong)), "destination pacs")
    assert finding.severity is Severity.FAULT
    assert "it rejected the association" in finding.message


def test_a_pacs_that_stalls_small_packets_is_named(tmp_path: Path) -> None:
    def slow() -> int:
        time.sleep(0.06)
        return 0

    with running_pacs(echo=slow) as pacs:
        finding = worst_of(look(quick(tmp_path, pacs.destination)), "destination pacs")
    assert finding.severity is Severity.WARNING
    assert "TCP_NODELAY" in finding.remedy


class HangsUp(Pacs):
    """A PACS that aborts the association when it receives a C-ECHO request."""

    def extend(self, handlers: list[Any]) -> None:
        """Answer C-ECHO with an abort."""

        def hang_up(event: evt.Event) -> int:
            event.assoc.abort()
            return 0

        handlers.append((evt.EVT_C_ECHO, hang_up))


def test_a_pacs_that_hangs_up_instead_of_answering_is_a_fault(tmp_path: Path) -> None:
    pacs = HangsUp(echo=True)
    pacs.start()
    try:
        finding = worst_of(look(quick(tmp_path, pacs.destination)), "destination pacs")
    finally:
        pacs.stop()
    assert finding.severity is Severity.FAULT
    assert finding.message == "takes C-ECHO and does not answer it"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_of_either_kind_is_free_until_a_node_has_it(tmp_path: Path, host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    base = quick(tmp_path, sources=(Source(network=ip_network(host)),))
    configuration = replace(base, node=replace(base.node, host=host, port=free_port()))
    (finding,) = listener(configuration)
    assert (finding.severity, finding.message) == (Severity.GOOD, "the address is free to listen on")
    with quick_node(configuration):
        (finding,) = listener(configuration)
    assert (finding.severity, finding.message) == (
        Severity.GOOD,
        "the running node of this configuration listens there",
    )


def test_a_running_node_is_known_whoever_may_send_to_it(tmp_path: Path) -> None:
    files = Authority(tmp_path / "keys").issue("node")
    base = quick(tmp_path / "storage", sources=(Source("SCANNER", ip_network("10.0.0.0/8")),))
    guarded = replace(base, node=replace(base.node, port=free_port(), tls=files.settings))
    with quick_node(guarded):
        (running,) = listener(guarded)
        elsewhere = replace(guarded, storage=replace(guarded.storage, directory=tmp_path / "other"))
        (taken,) = listener(elsewhere)
    assert running.message == "the running node of this configuration listens there"
    assert (taken.severity, taken.message) == (
        Severity.FAULT,
        "cannot be listened on: Address already in use",
    )
    with socket.create_server((guarded.node.host, guarded.node.port)):
        (stopped,) = listener(guarded)
    assert stopped.severity is Severity.FAULT, "the address of a node that has ended says nothing"


@pytest.mark.parametrize(
    ("later", "severity", "words"),
    [
        (41, Severity.FAULT, "ended on"),
        (35, Severity.FAULT, "in 4 days"),
        (20, Severity.WARNING, "in 19 days"),
        (1, Severity.GOOD, "is valid until"),
    ],
)
def test_a_certificate_that_ends_soon_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int, severity: Severity, words: str
) -> None:
    files = Authority(tmp_path).issue("node", days=40).settings
    now = SystemClock().now() + timedelta(days=later)
    monkeypatch.setattr(SystemClock, "now", lambda _self: now)
    destination = replace(Pacs(port=1).destination, tls=files)
    base = quick(tmp_path, destination)
    found = {one.subject: one for one in certificates(replace(base, node=replace(base.node, tls=files)))}
    assert set(found) == {
        f"{key} of {section}"
        for key in ("certificate", "ca")
        for section in ("node.tls", f"destinations.tls ({destination.name})")
    }
    for section in ("node.tls", f"destinations.tls ({destination.name})"):
        told = found[f"certificate of {section}"]
        assert (told.severity, words in told.message) == (severity, True), told
        assert bool(told.remedy) is (severity is not Severity.GOOD)


def test_a_revocation_list_that_is_overdue_is_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = replace(authority.issue("node").settings, crl=authority.revocation_list(hours=0.5))
    base = quick(tmp_path)
    found = {one.subject: one for one in certificates(replace(base, node=replace(base.node, tls=files)))}
    assert found["crl of node.tls"].message.startswith("ended on")


def test_a_clock_that_went_back_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "osteonode.db").write_bytes(b"")
    tomorrow = time.time() + 86400
    os.utime(tmp_path / "osteonode.db", (tomorrow, tomorrow))
    assert worst_of(look(quick(tmp_path)), "clock").severity is Severity.FAULT


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "step", "took", "off"),
    [
        (0.0, 0.0, 0.2, 0), (-1.0, 1.0, 0.0, 0), (-0.5, 1.0, 0.2, 0), (3.0, 0.0, 4.0, 0),
        (-61.0, 1.0, 9.0, 60), (-60.0, 0.0, 0.1, 60), (90.0, 1.0, 30.0, -60), (61.0, 0.0, 1.0, -60),
    ],
)  # fmt: skip
def test_what_a_question_takes_and_what_is_not_told_is_no_fault_of_the_clock(
    told: float, step: float, took: float, off: float
) -> None:
    answered = NOON + timedelta(seconds=took)
    assert Reading(NOON + timedelta(seconds=told), step, NOON, answered).off_s == pytest.approx(off)


@pytest.mark.parametrize(
    ("ahead", "severity", "words"),
    [
        (0, Severity.GOOD, "it agrees with that of destination web"),
        (30, Severity.WARNING, "s ahead of that of destination web"),
        (-7200, Severity.FAULT, "s behind that of destination web"),
    ],
)
def test_the_clock_is_compared_with_that_of_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, severity: Severity, words: str
) -> None:
    wrong = timedelta(seconds=ahead)
    monkeypatch.setattr(SystemClock, "now", lambda _self: datetime.now(UTC) + wrong)  # noqa: TID251 - moved
    with web_server(401, b"a refusal tells the time as well") as port:
        _, compared = clock(quick(tmp_path, by_web(port)))
    assert (compared.severity, words in compared.message) == (severity, True), compared
    assert bool(compared.remedy) is bool(ahead)


@pytest.mark.peers
def test_the_clock_is_compared_with_that_of_the_database_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    configuration = replace(quick(tmp_path), store=StoreSettings(postgres.new_database()))
    _, agrees = clock(configuration)
    assert (agrees.severity, agrees.message) == (Severity.GOOD, "it agrees with that of the database server")
    monkeypatch.setattr(SystemClock, "now", lambda _self: NOON)
    _, wrong = clock(configuration)
    assert wrong.severity is Severity.FAULT
    assert "s ahead of that of the database server" in wrong.message


def test_a_clock_that_is_compared_with_none_is_told_so(tmp_path: Path) -> None:
    (_, told) = clock(quick(tmp_path, Pacs(port=1).destination))
    assert told.message.startswith("it was compared with no other: DICOM peers do not tell the time")
    _, lost, none = clock(quick(tmp_path, by_web(free_port())))
    assert lost.message == "it could not be compared with that of destination web: it cannot be reached"
    assert none.message == told.message


class Usage(NamedTuple):
    """The part of `shutil.disk_usage` that is read."""

    free: int


@pytest.mark.parametrize(
    ("days", "severity"),
    [(3.0, Severity.FAULT), (9.0, Severity.WARNING), (18.0, Severity.GOOD), (inf, Severity.GOOD)],
)
def test_a_disk_that_fills_up_in_the_days_to_come_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, severity: Severity
) -> None:
    """A real storage of ten days, with a gigabyte each day, on a disk that has room for so many days more."""
    patience = Patience(quiet=timedelta(seconds=5), wait=timedelta(minutes=10))
    gigabyte, now = 10**9, SystemClock().now()
    configuration = quick(tmp_path)
    with closing(SqlStore(f"sqlite:///{tmp_path / 'osteonode.db'}")) as store:
        for age in range(11):
            made = arrival(f"1.{age + 1}", 1)
            made = replace(made, instance=replace(made.instance, size=gigabyte))
            store.record_arrivals([made], now - timedelta(days=age, hours=1), patience)
    room = int((25 if days == inf else days) * gigabyte)  # in 20 days as much goes as comes
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(free=room))
    (told,) = disk(configuration)
    assert told.severity is severity
    assert ("it lasts" if days == inf else f"is reached in {days:.1f} days") in told.message
    assert bool(told.remedy) is (severity is not Severity.GOOD)


def test_a_storage_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert worst_of(look(quick(tmp_path / "file" / "var")), "storage").severity is Severity.FAULT


@pytest.mark.parametrize(
    ("folders", "file", "is_told"), [(0o755, 0o644, True), (0o700, 0o644, False), (0o755, 0o600, False)]
)
def test_images_that_other_users_can_read_are_a_fault(
    tmp_path: Path, folders: int, file: int, *, is_told: bool
) -> None:
    there = tmp_path / "var" / "instances" / "image.dcm"
    there.parent.mkdir(parents=True)
    there.touch()
    for path, mode in ((there, file), (there.parent, folders), (tmp_path / "var", folders)):
        path.chmod(mode)
    told = [one for one in storage(quick(tmp_path / "var")) if "other users of this machine" in one.message]
    assert [one.severity for one in told] == [Severity.FAULT] * is_told


def test_a_model_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    models = replace(configuration.models, bundle=tmp_path / "none")
    assert worst_of(list(model(replace(configuration, models=models))), "model").severity is Severity.FAULT


def test_a_model_that_lacks_what_is_asked_for_is_a_fault(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    preferred = {**configuration.analysis.preferred, Target.OSTEOPOROSIS: "T1+T2"}
    analysis = replace(configuration.analysis, preferred=preferred)
    (told, *_) = model(replace(configuration, analysis=analysis))
    assert told.severity is Severity.FAULT
    assert "no osteoporosis from T1+T2" in told.message


def test_to_have_no_model_is_good_if_it_is_configured_so(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    (told,) = model(replace(configuration, models=ModelSettings(None)))
    assert told.severity is Severity.GOOD
    assert "measurements and outlines only" in told.message


def test_a_segmenter_that_is_not_installed_is_a_fault(tmp_path: Path) -> None:
    configuration = quick(tmp_path)
    analysis = replace(configuration.analysis, segmentation=SegmentationSettings(backend="totalspineseg"))
    findings = list(segmenter(replace(configuration, analysis=analysis)))
    assert worst_of(findings, "segmenter").severity is Severity.FAULT
    assert "totalspineseg was not found on the PATH" in findings[0].message
    assert worst_of(list(segmenter(configuration)), "segmenter").severity is Severity.GOOD
