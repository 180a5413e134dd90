"""Which node may analyse, and how the nodes that do are judged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from node.domain.health import judge_nodes
from node.domain.nodes import NodeEntry, NodeRole, SeenNode, why_not_analyse
from node.domain.status import Condition

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SAME = {"program": "1", "[report]": "2"}
MAIN = SeenNode(NodeEntry("m", "hall", NodeRole.MAIN, NOW, SAME), timedelta(), is_alive=True)
ONE = SeenNode(NodeEntry("a", "left", NodeRole.ANALYSE, NOW, SAME), timedelta(seconds=3), is_alive=True)


def test_a_node_analyses_if_it_would_make_what_the_main_one_makes() -> None:
    assert not why_not_analyse("a", SAME, [MAIN, ONE])


def test_it_goes_on_while_the_main_one_is_dead_and_waits_once_that_was_stopped() -> None:
    assert not why_not_analyse("a", SAME, [replace(MAIN, is_alive=False), ONE])
    assert why_not_analyse("a", SAME, [ONE]) == "no node that receives works with this database"


def test_it_waits_while_others_take_it_for_dead() -> None:
    assert "has not heard" in why_not_analyse("a", SAME, [MAIN, replace(ONE, is_alive=False)])
    assert "has not heard" in why_not_analyse("b", SAME, [MAIN, ONE])


def test_all_that_differs_is_named() -> None:
    other = {"program": "9", "[models]": "3"}
    assert why_not_analyse("a", other, [MAIN, ONE]).endswith("in: [models], [report], program")


def test_it_waits_while_its_clock_is_not_that_of_the_main_one() -> None:
    # The clock of the database may be wrong as long as theirs are not.
    assert not why_not_analyse("a", SAME, [replace(MAIN, ahead_s=3600.0), replace(ONE, ahead_s=3599.0)])
    for ahead_s in (-3600.0, 3600.0):
        assert "clock" in why_not_analyse("a", SAME, [MAIN, replace(ONE, ahead_s=ahead_s)])


def test_the_main_node_that_came_last_decides() -> None:
    late = replace(
        MAIN, entry=replace(MAIN.entry, owner="n", started_at=NOW + timedelta(1), decides={"program": "2"})
    )
    assert not why_not_analyse("a", {"program": "2"}, [late, MAIN, ONE])


def test_a_node_that_vanished_or_waits_needs_a_look() -> None:
    works = judge_nodes([MAIN, replace(ONE, studies=("1.1",))])
    assert (works.condition, works.words) == (Condition.WELL, "left analyses 1 study.")
    gone = judge_nodes([MAIN, replace(ONE, is_alive=False, silent_for=timedelta(seconds=90))])
    assert gone.condition is Condition.CONCERN
    assert gone.words == "left has vanished: no sign of life for 1 min 30 s."
    waits = judge_nodes([MAIN, replace(ONE, entry=replace(ONE.entry, waits="it differs"))])
    assert (waits.condition, waits.words) == (Condition.CONCERN, "left analyses nothing: it differs.")
