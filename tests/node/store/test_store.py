"""The store against a model: whatever happens in whatever order, it tells what a dictionary would."""

# ruff: noqa: D102 - the rules of the state machine are named by what happens
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import create_engine, text

from dicom_templates.result_kinds import ResultKind
from node.domain.assembly import Patience
from node.domain.delivery import OPEN_DELIVERY_STATES, DeliveryState
from node.domain.records import Arrival, DeliveryBatch, Instance, NewResult, QuarantineEntry, StudyLease
from node.domain.status import Outbox, SetAside
from node.domain.study import TRANSITIONS, StudyEvent, StudyState
from node.errors import LeaseLostError, PermanentError, TransientError
from node.store import SqlStore
from tests.postgres import Postgres

START = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = Patience(quiet=timedelta(seconds=5), wait=timedelta(minutes=10))
LEASE = timedelta(minutes=5)
DESTINATIONS = ("a", "b")
MR = "1.2.840.10008.5.1.4.1.1.4"
GREYSCALE_PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"


def arrival(study: str, number: int, *, matters: bool = True) -> Arrival:
    instance = Instance(
        sop_uid=f"{study}.1.{number}",
        series_uid=f"{study}.1",
        study_uid=study,
        sop_class_uid=MR if matters else GREYSCALE_PRESENTATION_STATE,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=f"{number:064x}",
        size=100,
        patient_key="0" * 64,
    )
    return Arrival(instance, "SENDER", "127.0.0.1")


def results_of(study: str, revision: int) -> list[NewResult]:
    # Two revisions share their results now and then, as when an object that does not matter was added.
    version = revision // 2
    return [
        NewResult(
            kind,
            f"2.25.{study.rsplit('.', maxsplit=1)[-1]}.{version}.{n}",
            "1.2.3",
            f"{study}/{n}.dcm",
            DESTINATIONS,
        )
        for n, kind in enumerate((ResultKind.SR, ResultKind.SEG))
    ]


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = SqlStore(url)
    yield opened
    opened.close()


def ready(store: SqlStore, study: str = "1.1", now: datetime = START) -> None:
    store.record_arrivals([arrival(study, 1)], now, PATIENCE)
    found = store.study(study)
    assert found is not None
    settled = store.advance(found, StudyEvent.FELL_QUIET, now, deadline=now)
    assert settled is not None
    assert store.advance(settled, StudyEvent.FOUND_READY, now, deadline=now)


def test_a_study_is_due_when_its_quiet_time_is_over(store: SqlStore) -> None:
    store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
    assert not store.due_studies(START + PATIENCE.quiet - timedelta(milliseconds=1))
    assert [study.study_uid for study in store.due_studies(START + PATIENCE.quiet)] == ["1.1"]


def test_a_study_that_got_more_meanwhile_is_not_moved(store: SqlStore) -> None:
    store.record_arrivals([arrival("1.1", 1)], START, PATIENCE)
    (stale,) = store.due_studies(START + PATIENCE.quiet)
    store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
    assert store.advance(stale, StudyEvent.FELL_QUIET, START) is None
    assert store.study("1.1").state is StudyState.RECEIVING  # type: ignore[union-attr]


def test_a_lease_that_ran_out_goes_to_another_and_counts_an_attempt(store: SqlStore) -> None:
    ready(store)
    first = store.lease_study("a", START, START + LEASE)
    assert first is not None
    assert store.lease_study("b", START, START + LEASE) is None
    second = store.lease_study("b", START + LEASE, START + 2 * LEASE)
    assert second is not None
    assert (first.attempt, second.attempt) == (1, 2)
    with pytest.raises(LeaseLostError):
        store.record_results(first, [], {}, START + LEASE)
    store.record_results(second, [], {}, START + LEASE)


def test_a_study_backs_off_after_it_broke(store: SqlStore) -> None:
    ready(store)
    lease = store.lease_study("a", START, START + LEASE)
    assert lease is not None
    store.record_broken(lease, "it died", START, START + timedelta(seconds=30))
    assert store.lease_study("a", START + timedelta(seconds=29), START + LEASE) is None
    again = store.lease_study("a", START + timedelta(seconds=30), START + LEASE)
    assert again is not None
    assert again.attempt == 2


def test_a_node_that_stopped_costs_its_studies_no_attempt(store: SqlStore) -> None:
    ready(store)
    assert store.lease_study("a", START, START + LEASE)
    assert store.release_leases(START) == 1
    again = store.lease_study("b", START, START + LEASE)
    assert again is not None
    assert again.attempt == 1


def test_a_result_that_replaces_another_withdraws_what_was_not_sent(store: SqlStore) -> None:
    ready(store)
    lease = store.lease_study("a", START, START + LEASE)
    assert lease is not None
    store.record_results(lease, results_of("1.1", 1), {}, START)
    batch = store.lease_deliveries("a", "me", START, START + LEASE)
    assert batch is not None
    store.record_delivery(batch, batch.deliveries[0], DeliveryState.SENT, status=0, reason="", now=START)
    store.record_arrivals([arrival("1.1", 2)], START, PATIENCE)
    found = store.study("1.1")
    assert found is not None
    settled = store.advance(found, StudyEvent.FELL_QUIET, START, deadline=START)
    assert settled is not None
    store.advance(settled, StudyEvent.FOUND_READY, START, deadline=START)
    lease = store.lease_study("a", START, START + LEASE)
    assert lease is not None
    store.record_results(lease, results_of("1.1", 2), {}, START)
    states = [delivery.state for delivery in store.deliveries("1.1")]
    assert states.count(DeliveryState.SENT) == 1
    assert states.count(DeliveryState.SUPERSEDED) == 3
    assert states.count(DeliveryState.WAITING) == 4
    with pytest.raises(LeaseLostError):
        store.record_delivery(batch, batch.deliveries[1], DeliveryState.SENT, status=0, reason="", now=START)


def test_a_study_no_destination_takes_anything_of_is_set_aside(store: SqlStore) -> None:
    ready(store)
    lease = store.lease_study("x", START, START + LEASE)
    assert lease is not None
    store.record_results(lease, results_of("1.1", 1), {}, START)
    for destination, state in (("a", DeliveryState.SENT), ("b", DeliveryState.NOT_ACCEPTED)):
        batch = store.lease_deliveries(destination, "me", START, START + LEASE)
        assert batch is not None
        for delivery in batch.deliveries:
            store.record_delivery(batch, delivery, state, status=None, reason="no", now=START)
    assert store.finish_deliveries("1.1", START) is StudyState.FAILED
    assert store.study("1.1").reason == "b accepts none of these results"  # type: ignore[union-attr]


def test_what_was_put_aside_is_remembered(store: SqlStore) -> None:
    entry = QuarantineEntry("x.dcm", "1.2", "it has no StudyInstanceUID", "SENDER", "127.0.0.1", START)
    store.record_quarantine(entry)
    assert store.quarantine() == (entry,)


def test_everything_is_there_after_the_store_is_opened_again(url: str) -> None:
    first = SqlStore(url)
    ready(first)
    lease = first.lease_study("a", START, START + LEASE)
    assert lease is not None
    first.record_results(lease, results_of("1.1", 1), {"osteoporosis": "12 %"}, START)
    before = (first.study("1.1"), first.history("1.1"), first.results("1.1"), first.deliveries("1.1"))
    first.close()
    second = SqlStore(url)
    assert (
        second.study("1.1"), second.history("1.1"), second.results("1.1"), second.deliveries("1.1"),
    ) == before  # fmt: skip
    second.close()


def test_two_workers_never_lease_one_study(store: SqlStore) -> None:
    studies = [f"1.{number}" for number in range(12)]
    for study in studies:
        ready(store, study)
    taken: list[str] = []

    def work(owner: str) -> None:
        while lease := store.lease_study(owner, START, START + LEASE):
            taken.append(lease.study_uid)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(studies)


LEASE_ALL = """
import sys
import time
from tests.node.store.test_store import LEASE, START, SqlStore
store = SqlStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while lease := store.lease_study(sys.argv[2], START, START + LEASE):
    print(lease.study_uid, flush=True)
    time.sleep(0.02)  # as work would, so that the other gets its turn on a machine with one free core
"""


def test_two_processes_share_the_studies_without_leasing_one_twice(store: SqlStore, url: str) -> None:
    studies = [f"1.{number}" for number in range(20)]
    for study in studies:
        ready(store, study)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LEASE_ALL, url, owner],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for owner in "ab"
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # both are up: now they race
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [process.communicate()[0].split() for process in processes]
    assert sorted(taken[0] + taken[1]) == sorted(studies)
    assert all(taken), "one process took them all; the test says nothing"


def test_what_was_noted_last_may_not_be_on_disk_and_can_be_taken_back(store: SqlStore) -> None:
    store.record_arrivals([arrival("1.1", 1), arrival("1.2", 2)], START, PATIENCE)
    store.record_arrivals([arrival("1.1", 3)], START, PATIENCE)
    (last,) = store.last_group()
    assert last.sop_uid == "1.1.1.3"
    store.withdraw_arrivals([last.sop_uid])
    assert {instance.sop_uid for instance in store.all_instances()} == {"1.1.1.1", "1.2.1.2"}


def test_groups_are_counted_on_after_a_restart(url: str) -> None:
    for number in range(3):
        store = SqlStore(url)
        store.record_arrivals([arrival("1.1", number)], START, PATIENCE)
        assert [instance.sop_uid for instance in store.last_group()] == [f"1.1.1.{number}"]
        store.close()


def test_figures_tell_states_ages_outboxes_and_quarantine(store: SqlStore) -> None:
    later = START + timedelta(hours=1)
    ready(store)
    ready(store, "1.2", later)
    ready(store, "1.3", later)
    lease = store.lease_study("a", START, START + LEASE)
    assert lease is not None
    assert lease.study_uid == "1.1"
    results = [
        NewResult(ResultKind.SR, f"2.25.{number}", "1.2.840", f"{number}.dcm", ("pacs", "other"))
        for number in range(2)
    ]
    store.record_results(lease, results, {}, later)
    batch = store.lease_deliveries("other", "a", later, later + LEASE)
    assert batch is not None
    for delivery in batch.deliveries:
        store.record_delivery(batch, delivery, DeliveryState.SENT, status=0, reason="", now=later)
    for name in ("one", "two"):
        store.record_quarantine(QuarantineEntry(name, "1.9", "it is damaged", "MR", "127.0.0.1", later))
    figures = store.figures(2, 1, START)
    assert figures.studies == {StudyState.DELIVERING: 1, StudyState.READY: 2}
    assert figures.oldest == {StudyState.DELIVERING: later, StudyState.READY: later}
    assert figures.outboxes["pacs"] == Outbox({DeliveryState.WAITING: 2}, later)
    assert figures.outboxes["other"] == Outbox({DeliveryState.SENT: 2}, None)
    assert (figures.instances, figures.quarantined) == (3, {"it is damaged": 2})
    assert [study.study_uid for study in figures.latest] == ["1.1", "1.2"]
    assert [entry.reason for entry in figures.put_aside] == ["it is damaged"]


def test_a_study_that_was_set_aside_waits_until_somebody_deals_with_it(store: SqlStore) -> None:
    later = START + timedelta(hours=1)
    for study in ("1.1", "1.2", "1.3", "1.4"):
        ready(store, study)
        lease = store.lease_study("a", START, START + LEASE)
        assert lease is not None
        store.record_broken(lease, "the worker died", later, None)
    assert store.set_aside(START, 3).count == 4
    assert len(store.set_aside(START, 3).latest) == 3
    assert store.set_aside(later, 3) == SetAside()
    first, second = (store.study(f"1.{number}") for number in (1, 2))
    assert first is not None
    assert second is not None
    store.advance(first, StudyEvent.RETRIED, later, deadline=later)
    assert store.forget_originals(second, lambda _images: None)
    store.record_arrivals([arrival("1.3", 2)], later, PATIENCE)
    assert [study.study_uid for study in store.set_aside(START, 3).latest] == ["1.4"]
    assert store.figures(0, 1, START).set_aside == store.set_aside(START, 1)


def test_a_database_that_went_away_is_told_by_its_kind_only(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'planted.db'}")
    store.close()
    (tmp_path / "planted.db").write_bytes(b"no database any more" * 500)
    for beside in tmp_path.glob("planted.db-*"):
        beside.unlink()
    with pytest.raises(TransientError, match=r"^it does not answer \(DatabaseError\)$"):
        store.figures(1, 1, START)
    store.close()


def test_a_database_of_another_version_is_refused_in_words(url: str) -> None:
    SqlStore(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))
    with pytest.raises(PermanentError, match=r"version 99.*works with version"):
        SqlStore(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE schema_version"))
    engine.dispose()
    with pytest.raises(PermanentError, match="version 0"):
        SqlStore(url)


@pytest.mark.parametrize(
    "wrong",
    [
        "sqlite:////nowhere/at/all.db",
        "postgresql+psycopg://planted-user@/nowhere?host=/nowhere",
        "no url",
        "oracle://planted-user@x/y",
    ],
)
def test_a_database_that_is_not_there_is_told_in_words_without_its_url(wrong: str) -> None:
    with pytest.raises(PermanentError, match=r"\[store\] url") as caught:
        SqlStore(wrong)
    assert "planted" not in str(caught.value)


def test_a_file_that_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear colleague, " * 100)
    with pytest.raises(PermanentError, match="no database of ours"):
        SqlStore(f"sqlite:///{tmp_path / 'letter.db'}")


def test_sqlite_answers_only_after_a_sync(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    with store._engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
    store.close()


@pytest.mark.peers
def test_postgresql_answers_only_after_a_sync_whatever_its_configuration_says(postgres: Postgres) -> None:
    url = postgres.new_database()
    engine = create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit TO off"))
    engine.dispose()
    store = SqlStore(url)
    with store._engine.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    store.close()


@dataclass
class ModelStudy:
    """What the store should tell of a study."""

    state: StudyState = StudyState.RECEIVING
    revision: int = 0
    token: str = ""
    lease_until: datetime = START


@dataclass
class Model:
    """What the store should tell."""

    studies: dict[str, ModelStudy] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)


class StoreAgainstModel(RuleBasedStateMachine):
    """Senders, sweeps, workers, couriers, crashes and the clock, in any order."""

    leases = Bundle("leases")
    batches = Bundle("batches")

    @staticmethod
    def new_url(folder: str) -> str:
        return f"sqlite:///{folder}/store.db"

    @initialize()
    def open(self) -> None:
        # In memory where the system has such a folder: thousands of syncs would test nothing here.
        memory = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
        self.folder = TemporaryDirectory(dir=memory if Path(memory).is_dir() else None)
        self.url = self.new_url(self.folder.name)
        self.store = SqlStore(self.url)
        self.model = Model()
        self.now = START
        self.count = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(study=st.sampled_from(["1.1", "1.2"]), number=st.integers(1, 3), matters=st.booleans())
    def arrive(self, study: str, number: int, *, matters: bool) -> None:
        group = []
        for _ in range(number):
            self.count += 1
            group.append(arrival(study, self.count, matters=matters))
        self.store.record_arrivals(group, self.now, PATIENCE)
        new = study not in self.model.studies
        there = self.model.studies.setdefault(study, ModelStudy())
        if matters:
            there.revision += number
            there.state = StudyState.RECEIVING
            there.token = ""
        elif new:
            there.revision = 1

    @rule(seconds=st.sampled_from([1, 6, 301, 601]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(event=st.sampled_from([e for (state, e) in TRANSITIONS if state is StudyState.SETTLED]))
    def settle(self, event: StudyEvent) -> None:
        for study in self.store.due_studies(self.now):
            settled: object = study
            if study.state is not StudyState.SETTLED:
                settled = self.store.advance(study, StudyEvent.FELL_QUIET, self.now, deadline=self.now)
            assert settled is not None
            moved = self.store.advance(
                replace(study, state=StudyState.SETTLED), event, self.now, deadline=self.now
            )
            assert moved is not None
            self.model.studies[study.study_uid].state = TRANSITIONS[StudyState.SETTLED, event]

    @rule(target=leases, study=st.sampled_from(["1.1", "1.2"]))
    def begin_work(self, study: str) -> Any:
        """Arrive, settle and be leased, so that there is often work that others may overtake."""
        self.arrive(study, 1, matters=True)
        self.wait(6)
        self.settle(StudyEvent.FOUND_READY)
        return self.lease()

    @rule(study=st.sampled_from(["1.1", "1.2"]), event=st.sampled_from(["report", "report", "break"]))
    def go_the_usual_way(self, study: str, event: str) -> None:
        """End that work too, so that what lies behind a report is reached often."""
        self.end_work(self.begin_work(study), event)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def send_all(self, destination: str) -> None:
        while batch := self.lease_deliveries(destination):
            self.end_deliveries(batch, [DeliveryState.SENT] * 4)

    @rule(target=leases)
    def lease(self) -> StudyLease | None:
        lease = self.store.lease_study("w", self.now, self.now + LEASE)
        free = {
            uid
            for uid, there in self.model.studies.items()
            if there.state is StudyState.READY
            or (there.state is StudyState.ANALYSING and there.lease_until <= self.now)
        }
        assert (lease is not None) == bool(free)
        if lease is not None:
            assert lease.study_uid in free
            there = self.model.studies[lease.study_uid]
            assert lease.revision == there.revision
            there.state, there.token, there.lease_until = StudyState.ANALYSING, lease.token, self.now + LEASE
        return lease

    @rule(lease=consumes(leases), end=st.sampled_from(["report", "refuse", "break", "give up", "crash"]))
    def end_work(self, lease: StudyLease | None, end: str) -> None:
        if lease is None or end == "crash":
            return
        there = self.model.studies[lease.study_uid]
        holds = there.token == lease.token and there.revision == lease.revision
        try:
            if end == "report":
                results = results_of(lease.study_uid, lease.revision)
                self.store.record_results(lease, results, {}, self.now)
            elif end == "refuse":
                self.store.record_refusal(lease, ["no"], self.now)
            else:
                self.store.record_broken(lease, "no", self.now, self.now if end == "break" else None)
        except LeaseLostError:
            assert not holds
            return
        assert holds
        there.token = ""
        if end == "report":
            still_open = any(
                delivery.state in OPEN_DELIVERY_STATES for delivery in self.store.deliveries(lease.study_uid)
            )
            there.state = StudyState.DELIVERING if still_open else StudyState.DELIVERED
        else:
            there.state = {
                "refuse": StudyState.REFUSED, "break": StudyState.READY, "give up": StudyState.FAILED,
            }[end]  # fmt: skip

    @rule(target=batches, destination=st.sampled_from(DESTINATIONS))
    def lease_deliveries(self, destination: str) -> DeliveryBatch | None:
        return self.store.lease_deliveries(destination, "c", self.now, self.now + LEASE)

    @rule(
        batch=consumes(batches),
        ends=st.lists(
            st.sampled_from([DeliveryState.SENT, DeliveryState.WAITING, DeliveryState.NOT_ACCEPTED]),
            min_size=4,
            max_size=4,
        ),
    )
    def end_deliveries(self, batch: DeliveryBatch | None, ends: list[DeliveryState]) -> None:
        if batch is None:
            return
        for delivery, end in zip(batch.deliveries, ends, strict=False):
            try:
                self.store.record_delivery(batch, delivery, end, status=0, reason="", now=self.now)
            except LeaseLostError:
                continue
            if end is DeliveryState.SENT:
                self.model.sent.append((delivery.destination, delivery.result.sop_uid))
        state = self.store.finish_deliveries(batch.study_uid, self.now)
        if state is not None:
            self.model.studies[batch.study_uid].state = state

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = SqlStore(self.url)
        self.store.release_leases(self.now)
        for there in self.model.studies.values():
            if there.state is StudyState.ANALYSING:
                there.state, there.token = StudyState.READY, ""

    @invariant()
    def states_and_revisions_agree(self) -> None:
        for uid, there in self.model.studies.items():
            found = self.store.study(uid)
            assert found is not None
            assert (found.state, found.revision) == (there.state, there.revision)

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert len(self.model.sent) == len(set(self.model.sent))

    @invariant()
    def history_walks_the_table(self) -> None:
        for uid in self.model.studies:
            steps = self.store.history(uid)
            for before, after in pairwise(steps):
                assert TRANSITIONS[before.state, after.event] is after.state

    @invariant()
    def only_current_results_wait_to_be_sent(self) -> None:
        for uid, there in self.model.studies.items():
            if there.state is StudyState.DELIVERING:
                current = {r.sop_uid for r in self.store.results(uid) if r.revision == there.revision}
                waiting = {
                    d.result.sop_uid for d in self.store.deliveries(uid) if d.state in OPEN_DELIVERY_STATES
                }
                assert waiting
                assert waiting <= current


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.peers
def test_postgresql_against_the_model(postgres: Postgres) -> None:
    class OnPostgres(StoreAgainstModel):
        @staticmethod
        def new_url(folder: str) -> str:
            del folder
            return postgres.new_database()

    run_state_machine_as_test(OnPostgres, settings=settings(max_examples=25, stateful_step_count=30))
