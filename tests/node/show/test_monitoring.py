"""The alert rules and the dashboard of the documentation ask for metrics that a node has."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.node.nodes import quick, quick_node, running_pacs, send, slice_of
from tests.node.show.test_web import ask, metrics, web_port, with_page
from tests.patience import wait_until
from tests.peers import REPOSITORY, program, run

MONITORING = REPOSITORY / "docs" / "monitoring"


def queries_of_the_dashboard() -> list[str]:
    dashboard: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def metrics_in(text: str) -> Iterator[str]:
    for name in re.findall(r"\bosteonode_\w+", text):
        yield re.sub(r"_(total|bucket|count|sum)$", "", name)


@pytest.fixture
def known(tmp_path: Path) -> set[str]:
    with quick_node(with_page(quick(tmp_path))) as node:
        text = ask(web_port(node), "/metrics").text
    return {
        re.sub("_total$", "", name) for name in re.findall(r"^# TYPE (osteonode_\w+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("file", ["alerts.yml", "alerts_test.yml", "dashboard.json"])
def test_a_node_has_every_metric_that_is_asked_for(known: set[str], file: str) -> None:
    asked = set(metrics_in((MONITORING / file).read_text()))
    assert len(asked) > 5
    assert asked <= known


@pytest.mark.peers
def test_every_alert_fires_on_its_cause_and_not_before() -> None:
    promtool = program("promtool", "prometheus")
    rules = (MONITORING / "alerts.yml").read_text()
    tests = (MONITORING / "alerts_test.yml").read_text()
    assert "SUCCESS" in run([promtool, "check", "rules", MONITORING / "alerts.yml"])
    assert "SUCCESS" in run([promtool, "test", "rules", MONITORING / "alerts_test.yml"])
    for alert in re.findall(r"- alert: (\w+)", rules):
        assert re.search(rf"alertname: {alert}\n\s+exp_alerts: \[{{", tests), f"{alert} is not tested"


@pytest.mark.peers
def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = queries_of_the_dashboard()
    assert len(queries) > 10
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML, too
    assert "SUCCESS" in run([program("promtool", "prometheus"), "check", "rules", file])


def test_the_end_of_a_certificate_and_the_latest_delivery_are_metrics(tmp_path: Path) -> None:
    files = Authority(tmp_path / "keys").issue("pacs", days=40).settings
    with running_pacs() as pacs:
        base = with_page(quick(tmp_path, pacs.destination))
        # Of a section that this test does not use, so that its connections stay plain.
        told = replace(base, audit=replace(base.audit, tls=files))
        with quick_node(told) as node:
            assert "osteonode_last_delivery_seconds destination=pacs" not in metrics(web_port(node))
            send(node.port, slice_of(1))
            wait_until(lambda: "osteonode_last_delivery_seconds destination=pacs" in metrics(web_port(node)))
            found = metrics(web_port(node))
    assert time.time() - found["osteonode_last_delivery_seconds destination=pacs"] < 60
    days = (found["osteonode_certificate_end_seconds of=certificate of audit.tls"] - time.time()) / 86400
    assert 39 < days < 40
