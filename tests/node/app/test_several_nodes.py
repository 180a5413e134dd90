"""One node receives, others only analyse, one stands by: whichever is killed or paused, nothing is lost."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from node.app import AnalysingNode
from node.cli import application
from node.commands.terminal import EXIT_USAGE
from node.config import AssemblySettings, Configuration, ModelSettings, ReportSettings, StoreSettings, load
from node.config.tables.models import DEMONSTRATION_MODEL
from node.domain.nodes import NodeEntry, NodeRole, SeenNode
from node.domain.study import StudyState
from node.errors import PermanentError
from node.operate.database import open_store, upgrade_store
from node.operate.doctor import Severity, nodes
from node.ports import NodeBook, Store
from node.store import open_nodes, schema
from node.store.instance_store import DiskInstanceStore
from node.store.nodes import SqlNodes
from node.store.staging import read_certified
from tests.node.analyses import CLASSES, GO, MARKS, WAITS
from tests.node.app.test_kill_points import counts_in, ended_in, judge, left_to_do
from tests.node.fuses import EDGES
from tests.node.nodes import (
    STUDY,
    InThread,
    MovedClock,
    is_running,
    quick,
    quick_node,
    running_pacs,
    send,
    slice_of,
    state_of,
)
from tests.node.senders import ENDED, ChoosyPacs, LateSender, Sender, sending
from tests.node.several import NODE_EDGES, Processes, settings_of
from tests.node.show.test_web import ask, metrics, web_port, with_page
from tests.node.storages import START
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port, wait_until_open
from tests.postgres import Postgres, running_postgres

pytestmark = [pytest.mark.slow, pytest.mark.peers]

_OF_AN_ANALYSIS = tuple(
    edge
    for edge in EDGES
    if edge.startswith(("lease_study", "record_results", "record_refusal ", "record_broken"))
    or edge == "analysed"
)
_NEVER_S = 600.0
"""For nodes that shall not vanish, however slow the machine is."""
_LONGEST_LIFE = 8
"""A node that has not reached its edge when so many more studies have ended is killed wherever it is."""


@pytest.fixture
def server_url(postgres: Postgres) -> str:
    return postgres.new_database()


class Cast:
    """A main node, one that stands by and two that analyse, each replaced once it has died."""

    def __init__(self, processes: Processes, store: Store, port: int) -> None:
        self._processes = processes
        self._store = store
        self._mains = [processes.start("main", "first")]
        wait_until_open(port)
        self._mains.append(processes.start("main", "second"))
        self._analysing = {name: processes.start("analyse", name) for name in ("a", "b")}
        self.kills = 0
        self.reached: set[str] = set()

    def kill(self, role: str, name: str, edge: str, crossings: int) -> None:
        """Kill a node wherever it is, and the one that takes its place at an edge."""
        if role == "main":
            # The one that stands by has no fuse yet; it takes over, and the next one has the fuse.
            self._processes.kill(self._mains.pop(0))
            self._mains.append(self._processes.start("main", "other", edge, crossings))
            self._processes.kill(self._mains.pop(0))
            self._mains.append(self._processes.start("main", "other"))
            self.kills += 2
            self._await_death(self._mains.pop(0), edge)
            self._mains.append(self._processes.start("main", "other"))
            return
        self._processes.kill(self._analysing[name])
        self.kills += 1
        doomed = self._processes.start("analyse", name, edge, crossings)
        self._await_death(doomed, edge)
        self._analysing[name] = self._processes.start("analyse", name)

    def _await_death(self, doomed: int, edge: str) -> None:
        most = ended_in(self._store) + _LONGEST_LIFE
        wait_until(lambda: not is_running(doomed) or ended_in(self._store) >= most)
        self.kills += 1
        if is_running(doomed):
            self._processes.kill(doomed)
        else:
            self.reached.add(edge)


def points_of(seed: int, mains: int, analysing: int) -> list[tuple[str, str, str, int]]:
    """Return who is killed at which edges, in an order that the seed chooses."""
    random = Random(seed)
    points = [("main", "", edge, 1) for edge in random.sample([*EDGES, *NODE_EDGES], mains)]
    points += [
        ("analyse", random.choice("ab"), edge, random.randint(1, 2))
        for edge in random.sample([*_OF_AN_ANALYSIS, "after a sync", *NODE_EDGES], analysing)
    ]
    random.shuffle(points)
    return points


def kill_any(directory: Path, url: str, points: list[tuple[str, str, str, int]]) -> Cast:
    """Kill nodes while studies arrive, and check that each study ended once and was sent once."""
    directory.joinpath("storage").mkdir()
    port, pacs = free_port(), ChoosyPacs()
    pacs.start()
    store = open_store(settings_of(directory / "storage", url, port, pacs.port))
    processes = Processes(directory / "storage", url, port, pacs.port)
    senders = [Sender(port, "1"), LateSender(port, "2", store=store)]
    try:
        cast = Cast(processes, store, port)
        with sending(senders):
            for point in points:
                cast.kill(*point)
            wait_until(lambda: counts_in(store)[StudyState.DELIVERED] >= 3)
        wait_until(lambda: set(counts_in(store)) <= ENDED and not left_to_do(store))
        acknowledged = set().union(*(sender.acknowledged for sender in senders))
        stored = {instance.sop_uid: instance for instance in store.all_instances()}
        assert acknowledged <= set(stored)
    finally:
        processes.close()
        pacs.stop()
    files = DiskInstanceStore(directory / "storage")
    assert all(read_certified(files.path(instance)) for instance in stored.values())
    for sender in senders:
        for study in sender.studies:
            judge(store, pacs, study)
    store.close()
    return cast


def test_any_node_is_killed_and_every_study_has_one_current_result(tmp_path: Path, server_url: str) -> None:
    points = points_of(seed=3, mains=1, analysing=4)
    cast = kill_any(tmp_path, server_url, points)
    assert cast.kills >= 2 * len(points)
    assert cast.reached, "no edge was reached"


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_nodes_are_killed_at_many_edges(tmp_path: Path, server_url: str, seed: int) -> None:
    cast = kill_any(tmp_path, server_url, points_of(seed=seed, mains=6, analysing=12))
    assert len(cast.reached) >= 6


def test_a_node_that_was_paused_cannot_record_its_late_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setenv(MARKS, str(marks))
    with running_postgres() as server, running_pacs() as pacs:
        settings = settings_of(tmp_path, server.new_database(), free_port(), pacs.port)
        with quick_node(settings, analyse="by_study", examine="examine_by_study") as node:
            processes = Processes(tmp_path, settings.store.url, settings.node.port, pacs.port)
            try:
                paused = processes.start("analyse", "a")
                # The main node holds one of them, and waits.
                studies = [f"1.2.826.0.{number}.{WAITS}" for number in range(2)]
                for study in studies:
                    send(node.port, slice_of(1, study=study))
                wait_until((marks / str(paused)).exists)
                os.kill(paused, signal.SIGSTOP)
                close_books()
                server.kill(signal.SIGINT)
                server.start()
                (marks / GO).touch()
                wait_until(lambda: all(state_of(node, one) is StudyState.DELIVERED for one in studies))
                reasons = {step.reason for study in studies for step in node.store.history(study)}
                assert "the node that analysed it vanished" in reasons
                os.kill(paused, signal.SIGCONT)
                wait_until(lambda: "analysis_superseded" in processes.log.read_text())
                wait_until(lambda: all(one.is_alive for one in seen(settings)))
            finally:
                processes.close()
                close_books()
            for study in studies:
                results = node.store.results(study)
                assert sorted(one.kind for one in results) == sorted(CLASSES), "it has one set of results"
            folders = list((tmp_path / "results").glob("*/*"))
            assert len(folders) == len(studies), "what came too late was removed"
        assert len(pacs.uids) == len(set(pacs.uids)) == len(studies) * len(CLASSES)


_books: dict[str, NodeBook] = {}


def seen(settings: Configuration) -> tuple[SeenNode, ...]:
    """Return the nodes that the database knows, over a connection that is kept."""
    if settings.store.url not in _books:
        _books[settings.store.url] = open_nodes(settings)
    return _books[settings.store.url].nodes()


@pytest.fixture(autouse=True)
def closed_books() -> Iterator[None]:
    yield
    close_books()


def close_books() -> None:
    while _books:
        _books.popitem()[1].close()


def pause_at_work(settings: Configuration, pid: int) -> str:
    """Stop the analysing node while it has a study, and return that."""
    while True:
        wait_until(lambda: any(one.studies for one in seen(settings) if one.entry.role is NodeRole.ANALYSE))
        os.kill(pid, signal.SIGSTOP)
        held = [uid for one in seen(settings) if one.entry.role is NodeRole.ANALYSE for uid in one.studies]
        if held:
            return held[0]
        os.kill(pid, signal.SIGCONT)


@contextmanager
def analysing(
    configuration: Configuration,
    name: str = "helper",
    clock: MovedClock | None = None,
    analyse: str = "report",
) -> Iterator[AnalysingNode]:
    """Run a node that only analyses in this process."""
    node = AnalysingNode(
        configuration,
        name=name,
        clock=clock,
        analyse_study=f"tests.node.analyses:{analyse}",
        make_worker=InThread,
        sweep_s=0.05,
    )
    with node:
        yield node


def waits(settings: Configuration) -> str:
    return next(one.entry.waits for one in seen(settings) if one.entry.role is NodeRole.ANALYSE)


def test_a_node_that_would_make_other_results_makes_none(tmp_path: Path, server_url: str) -> None:
    settings = with_page(settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S))
    with quick_node(settings) as node:
        other = replace(settings, report=ReportSettings(language="de", refusals=True))
        with analysing(other):
            wait_until(lambda: waits(settings) == "it differs from the node that receives in: [report]")
            wait_until(lambda: "helper analyses nothing: it differs" in ask(web_port(node), "/").text)
            wait_until(lambda: metrics(web_port(node))["osteonode_analysing_nodes state=waiting"] == 1)
            found = [one for one in nodes(settings) if one.subject == "node helper"]
            assert [one.severity for one in found] == [Severity.WARNING]


def test_a_model_that_is_replaced_while_the_nodes_run_holds_up_those_that_have_another(
    tmp_path: Path, server_url: str
) -> None:
    for name in ("main", "helper"):
        shutil.copytree(DEMONSTRATION_MODEL, tmp_path / name)
    settings = settings_of(tmp_path, server_url, 0, 1)
    main = replace(settings, models=ModelSettings(bundle=tmp_path / "main"))
    helper = replace(settings, models=ModelSettings(bundle=tmp_path / "helper"))
    with quick_node(main), analysing(helper):
        wait_until(lambda: not waits(settings))
        (tmp_path / "main" / "card.md").write_text("another")
        wait_until(lambda: "[models]" in waits(settings))
        (tmp_path / "helper" / "card.md").write_text("another")
        wait_until(lambda: not waits(settings))


def test_a_node_whose_storage_takes_no_results_begins_nothing(tmp_path: Path, server_url: str) -> None:
    settings = settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S)
    with quick_node(settings), analysing(settings):
        wait_until(lambda: not waits(settings))
        (tmp_path / "results").rename(tmp_path / "elsewhere")
        wait_until(lambda: waits(settings) == "it cannot write to the storage directory")
        (tmp_path / "elsewhere").rename(tmp_path / "results")
        wait_until(lambda: not waits(settings))


def test_a_node_whose_clock_is_wrong_begins_nothing(tmp_path: Path, server_url: str) -> None:
    settings = settings_of(tmp_path, server_url, 0, 1)
    clock = MovedClock()
    with quick_node(settings), analysing(settings, clock=clock):
        wait_until(lambda: not waits(settings))
        clock.move(seconds=3600)
        wait_until(lambda: "clock" in waits(settings))


def test_a_reload_of_the_main_node_holds_up_the_others_until_theirs(tmp_path: Path, server_url: str) -> None:
    settings = settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S)
    changed = replace(settings, destinations=(replace(settings.destinations[0], name="other"),))
    with quick_node(settings) as node, analysing(settings) as helper:
        wait_until(lambda: not waits(settings))
        node.apply(changed)
        wait_until(lambda: "[[destinations]]" in waits(settings))
        helper.apply(changed)
        wait_until(lambda: not waits(settings))


def test_a_node_that_was_stopped_is_forgotten_and_one_that_was_killed_is_told(
    tmp_path: Path, server_url: str
) -> None:
    settings = with_page(settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S))
    with quick_node(settings) as node:
        with analysing(settings):
            wait_until(lambda: "helper analyses no studies" in ask(web_port(node), "/").text)
        assert [one.entry.role for one in seen(settings)] == [NodeRole.MAIN]
        processes = Processes(tmp_path, server_url, 0, 1)
        try:
            doomed = processes.start("analyse", "doomed")
            wait_until(lambda: "doomed" in {one.entry.name for one in seen(settings)})
            processes.kill(doomed)
        finally:
            processes.close()
        wait_until(lambda: "doomed has vanished" in ask(web_port(node), "/").text)
        assert metrics(web_port(node))["osteonode_analysing_nodes state=vanished"] == 1
        assert Severity.WARNING in {one.severity for one in nodes(settings)}
        with analysing(settings, "doomed"):
            wait_until(lambda: "doomed analyses no studies" in ask(web_port(node), "/").text)


def test_what_the_main_node_analyses_early_is_left_to_it(
    tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not settle while the test lasts, so that an analysis can be an early one only.
    settings = replace(
        settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S),
        assembly=AssemblySettings(quiet_s=600, max_wait_s=1200, start_early=True),
    )
    noted: list[str] = []
    note_early = SqlNodes.note_early

    def note(book: SqlNodes, owner: str, studies: Collection[str]) -> None:
        noted.extend(studies)
        note_early(book, owner, studies)

    monkeypatch.setattr(SqlNodes, "note_early", note)
    clock = MovedClock()
    with quick_node(settings, clock=clock) as node:
        send(node.port, slice_of(1))
        clock.move(seconds=300)
        wait_until(lambda: noted == [STUDY])
        decides = seen(settings)[0].entry.decides
    with analysing(settings) as helper, closing(open_nodes(settings)) as book:
        main = NodeEntry("m", "m", NodeRole.MAIN, START, decides, early=("1.1",))
        book.sign(main, timedelta(hours=1), MovedClock().now())
        assert helper._presence.left_to_others() == {"1.1"}
        helper._presence.note_broken("1.2")
        assert helper._presence.left_to_others() == {"1.1", "1.2"}
        book.sign(main, timedelta(seconds=-1), MovedClock().now())
        assert helper._presence.left_to_others() == set(), "it has vanished"


def test_a_file_cannot_be_shared_and_a_folder_must_be_that_of_the_main_node(
    tmp_path: Path, server_url: str
) -> None:
    with pytest.raises(PermanentError, match="PostgreSQL"):
        AnalysingNode(quick(tmp_path))
    elsewhere = quick(tmp_path / "elsewhere", store=StoreSettings(url=server_url))
    with pytest.raises(PermanentError, match="start the node that receives first"):
        AnalysingNode(elsewhere)
    assert not (tmp_path / "elsewhere").exists()


def test_the_database_is_not_upgraded_under_a_node_that_analyses(
    tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S)
    with quick_node(settings):
        pass
    with analysing(settings):
        monkeypatch.setattr("node.store.migration.VERSION", schema.VERSION + 1)
        with pytest.raises(PermanentError, match="helper"):
            upgrade_store(settings)


def test_a_node_waits_while_the_main_one_is_stopped_and_goes_on_while_it_is_only_dead(
    tmp_path: Path, server_url: str
) -> None:
    settings = settings_of(tmp_path, server_url, 0, 1, vanished_s=_NEVER_S)
    with quick_node(settings):
        pass
    with analysing(settings):
        wait_until(lambda: waits(settings) == "no node that receives works with this database")
        processes = Processes(tmp_path, server_url, 0, 1)
        try:
            main = processes.start("main", "main")
            wait_until(lambda: not waits(settings))
            processes.kill(main)
        finally:
            processes.close()
        wait_until(lambda: [one.is_alive for one in seen(settings)] == [False, True])
        wait_until(lambda: not waits(settings))


def test_nodes_end_in_order_while_the_database_is_down(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running_postgres() as server:
        settings = settings_of(tmp_path, server.new_database(), 0, 1, vanished_s=_NEVER_S)
        try:
            with quick_node(settings), analysing(settings):
                wait_until(lambda: not waits(settings))
                close_books()
                server.kill(signal.SIGINT)
        finally:
            server.start()
    assert capfd.readouterr().out.count("node_stopped") == 2


def test_what_breaks_on_an_analysing_node_is_tried_by_the_main_one(
    tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKS, str(tmp_path))
    settings = settings_of(tmp_path, server_url, 0, 1)
    settings = replace(settings, engine=replace(settings.engine, attempts=2), destinations=())
    with (
        quick_node(settings, analyse="by_study", examine="examine_by_study") as node,
        analysing(settings, analyse="explain_and_break") as helper,
    ):
        # The main node holds one of them, and waits; so the other one is for the helper.
        studies = [f"1.2.826.0.{number}.{WAITS}" for number in range(2)]
        for study in studies:
            send(node.port, slice_of(1, study=study))
        wait_until(lambda: helper._presence._broken)
        (tmp_path / GO).touch()
        wait_until(lambda: all(state_of(node, one) is StudyState.DELIVERED for one in studies))


def working(settings: Configuration) -> set[str]:
    return {one.entry.name for one in seen(settings) if one.is_alive and not one.entry.waits}


def test_the_command_runs_a_node_that_only_analyses_until_it_is_asked_to_end(
    tmp_path: Path, server_url: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f'[node]\nport = 0\n[web]\nport = 0\n[storage]\ndirectory = "{tmp_path / "var"}"\n'
        f'[store]\nurl = "{server_url}"\n[engine]\nvanished_s = 600\n'
    )
    settings = load(file)
    command = [sys.executable, "-m", "node", "serve", "--analyse", "--name", "helper", "--config", str(file)]
    with quick_node(settings), (tmp_path / "log").open("wb") as log:
        with subprocess.Popen(command, stderr=log) as process:
            try:
                wait_until(
                    lambda: "helper" in {one.entry.name for one in seen(settings) if not one.entry.waits}
                )
                process.send_signal(signal.SIGHUP)
                wait_until(lambda: "configuration_applied" in (tmp_path / "log").read_text())
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
            finally:
                process.kill()
        assert [one.entry.role for one in seen(settings)] == [NodeRole.MAIN]


@pytest.mark.parametrize(
    "words",
    [
        ["--analyse", "--standby"],
        ["--name", "helper"],
        ["--analyse", "--name", "two\nlines"],
        ["--analyse", "--name", "no\udcfftext"],
        ["--analyse", "--name", "x" * 65],
    ],
)
def test_words_that_exclude_each_other_and_names_that_are_no_text_are_wrong_usage(words: list[str]) -> None:
    assert CliRunner().invoke(application, ["serve", *words]).exit_code == EXIT_USAGE
