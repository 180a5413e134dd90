"""The pages behind the login in a real browser: one takes orders there, on a desk and on a telephone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from node.app import Node
from node.config import User, WebSettings
from node.config.password import hash_of
from node.domain.study import StudyState
from tests.node.analyses import STOPS
from tests.node.nodes import Pacs, quick, quick_node, send, slice_of, state_of
from tests.patience import PATIENCE_S, wait_until
from tests.peers import free_port, program
from tests.thoroughness import first_of

PASSWORD = "correct horse"  # noqa: S105 - of nobody
STUDY = "1.2.840.113619.2.5.1762583153.215519.978957063.78.100000.200"
STOPPED = f"1.2.826.0.1.9.{STOPS}"
NOT_FINE = {"error", "warning"}
FITS = "document.documentElement.scrollWidth <= innerWidth"
PICTURES_SHOWN = "[...document.images].length == 2 && [...document.images].every(one => one.naturalWidth)"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, pacs: Pacs) -> Iterator[Node]:
    """Return a node with a user, a study with results and pictures, and one that was set aside."""
    base = quick(tmp_path_factory.mktemp("served"), pacs.destination)
    users = (User("anna", hash_of(PASSWORD)),)
    with quick_node(
        replace(base, web=WebSettings(port=free_port(), users=users)), analyse="by_study"
    ) as node:
        send(node.port, slice_of(1, study=STUDY), slice_of(1, study=STOPPED))
        wait_until(lambda: state_of(node, STUDY) is StudyState.DELIVERED)
        wait_until(lambda: state_of(node, STOPPED) is StudyState.FAILED)
        folder = node.instance_store.results / Path(node.store.results(STUDY)[0].name).parent
        for name, width in (("summary", 1800), ("overlay_t2", 1000)):
            Image.fromarray(np.full((900, width, 3), 90, np.uint8)).save(folder / f"{name}.png")
        yield node


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    executable = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def logged_in(chromium: Browser, node: Node, complaints: list[str], **options: object) -> Page:
    page = chromium.new_context(
        base_url=f"http://127.0.0.1:{node.configuration.web.port}",
        **options,  # type: ignore[arg-type]
    ).new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.extend([said.text] if said.type in NOT_FINE else []))
    page.goto(f"/studies/{STUDY}")
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    assert page.evaluate(FITS)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name=STUDY).wait_for()
    return page


@pytest.mark.peers
@pytest.mark.parametrize("scheme", first_of("light", "dark", why="the same pages in other colours"))
def test_the_pages_behind_the_login_fit_and_break_no_rule_of_theirs(
    served: Node, chromium: Browser, scheme: str
) -> None:
    complaints: list[str] = []
    page = logged_in(chromium, served, complaints, color_scheme=scheme)
    colour = {"light": "rgb(246, 247, 245)", "dark": "rgb(20, 25, 27)"}[scheme]
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for path in (f"/studies/{STUDY}", f"/studies/{STUDY}/confirm/purge", "/find", "/"):
            page.goto(path)
            assert page.evaluate(FITS), (path, width)
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
        page.goto(f"/studies/{STUDY}")
        assert page.evaluate(PICTURES_SHOWN)
    cookies = page.context.cookies()
    assert [(one.get("secure"), one.get("httpOnly"), one.get("sameSite")) for one in cookies] == [
        (True, True, "Strict")
    ]
    page.context.close()
    assert not complaints


@pytest.mark.peers
def test_a_person_finds_a_study_retries_it_sends_results_again_and_purges(
    served: Node, chromium: Browser
) -> None:
    complaints: list[str] = []
    page = logged_in(chromium, served, complaints, viewport={"width": 400, "height": 900})
    page.get_by_role("combobox").select_option("pacs")
    page.get_by_role("button", name="Send again").click()
    page.get_by_text("Its results are in the outbox again, for pacs.").wait_for()
    page.get_by_role("link", name="Find").click()
    page.get_by_label("Study Instance UID").fill(STOPPED[:-2])
    page.get_by_role("button", name="Find").click()
    page.get_by_role("heading", name=STOPPED).wait_for()
    page.get_by_role("button", name="Retry").click()
    page.get_by_text("It will be examined and analysed again.").wait_for()
    wait_until(lambda: state_of(served, STOPPED) is StudyState.FAILED)
    page.reload()
    page.get_by_role("link", name="Purge").click()
    page.get_by_role("link", name="Go back").click()
    assert served.store.instances(STOPPED)
    page.get_by_role("link", name="Purge").click()
    page.get_by_role("button", name="Purge").click()
    page.get_by_text("Its images, results and scores were removed.").wait_for()
    assert not served.store.instances(STOPPED)
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Password").wait_for()
    page.goto("/")
    assert page.url.endswith("/login")
    page.context.close()
    assert not complaints
