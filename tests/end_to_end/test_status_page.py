"""The status page of a node in a real browser, on wide and narrow screens."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, sync_playwright

from tests.end_to_end.conftest import ServedNode, wait_for
from tests.node.nodes import send, slice_of
from tests.patience import PATIENCE_S
from tests.peers import REPOSITORY, free_port, program
from tests.thoroughness import first_of

pytestmark = pytest.mark.slow

STUDY = "1.2.840.113619.2.5.1762583153.215519.978957063.78.100000.200"

NAMELESS = "1.2.840.113619.2.5.200"
"""UID of a study whose image has no Patient ID."""

FITS = "document.styleSheets.length == 1 && document.documentElement.scrollWidth <= innerWidth"


def holds(page: Page, condition: str) -> bool | None:
    """Evaluate a condition once; waiting by Playwright needs `eval`, which the policy of the page forbids."""
    try:
        return True if page.evaluate(condition) else None
    except Error:  # the page is just reloading
        return None


def page_is_up(port: int) -> bool | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as reply:
            return bool(reply.read() == b"ready\n")
    except OSError:
        return None


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """Return a node with two studies, one of which is set aside."""
    folder = tmp_path_factory.mktemp("shown")
    with ServedNode(folder, "NOBODY", free_port(), web_port=free_port()) as running:
        wait_for(lambda: page_is_up(running.web_port), running.log)
        send(running.port, slice_of(1, study=STUDY))
        send(running.port, slice_of(1, study=NAMELESS, patient_id=""))
        yield running


@pytest.mark.peers
@pytest.mark.parametrize("scheme", first_of("light", "dark", why="the same page in other colours"))
def test_a_browser_shows_the_page_on_any_screen_and_asks_nobody_else(node: ServedNode, scheme: str) -> None:
    chromium = program("chromium", "chromium")
    port, complaints, asked = node.web_port, [], set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.on("request", lambda request: asked.add(request.url.split("/")[2]))
        # Each condition is waited for, as the page reloads itself and its style sheet may arrive late.
        for width in (1280, 768, 360):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text(STUDY, exact=True).wait_for()
            page.get_by_role("heading", name="Set aside").wait_for()
            assert page.get_by_role("link", name=NAMELESS).count() == 2
            wait_for(partial(holds, page, FITS), node.log)
        colour = {"light": "rgb(246, 247, 245)", "dark": "rgb(20, 25, 27)"}[scheme]
        shown = f"getComputedStyle(document.body).backgroundColor == '{colour}'"
        wait_for(partial(holds, page, shown), node.log)
        page.get_by_text(STUDY, exact=True).click()
        page.get_by_text("Its steps").wait_for()
        wait_for(partial(holds, page, FITS), node.log)
        browser.close()
    assert not complaints
    assert asked == {f"127.0.0.1:{port}"}


def test_a_node_whose_page_has_no_port_left_ends_with_one_clear_line(
    node: ServedNode, tmp_path: Path
) -> None:
    port = node.web_port
    config = tmp_path / "second.toml"
    config.write_text(
        f'[node]\nport = {free_port()}\n[storage]\ndirectory = "second"\n[web]\nport = {port}\n'
    )
    second = subprocess.run(
        [sys.executable, "-m", "node", "serve", "--config", str(config)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert (
        f"Fault: the status page cannot listen on 127.0.0.1:{port}: Address already in use." in second.stderr
    )
    assert "Traceback" not in second.stderr
