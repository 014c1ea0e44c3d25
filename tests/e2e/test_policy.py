"""The client needs no eval, no inline code and no Trusted Types policy (threat G8)."""

import sys

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints, Start
from tests.e2e.csp_app import HTML, POLICY


def test_a_page_under_a_strict_policy_calls_the_server(start: Start, page: Page) -> None:
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.e2e.csp_app:app"]
    gateway = start(command=uvicorn, ready="/")
    response = page.goto(gateway.page)
    assert response is not None
    assert response.headers["content-security-policy"] == POLICY
    expect(page.locator("body")).to_have_attribute("data-state", "done")
    expect(page.locator("output")).to_have_text("under policy")
    expect(page.locator("p")).to_have_text(f"pb.Error: {HTML}")  # threat G7
    assert page.locator("img, body script").count() == 0
    assert page.title() == "strict"


def test_the_policy_is_enforced_in_this_browser(
    start: Start, page: Page, complaints: Complaints
) -> None:
    """Otherwise the test above would prove nothing."""
    complaints.expected = ["TrustedHTML"]
    uvicorn = [sys.executable, "-m", "uvicorn", "tests.e2e.csp_app:app"]
    page.goto(start(command=uvicorn, ready="/").page)
    expect(page.locator("body")).to_have_attribute("data-state", "done")
    refused = page.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; } catch (error) { return error.name; } }"
    )
    assert refused == "TypeError"
