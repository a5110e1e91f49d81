"""Airflow's pages in a browser, and pictures of them for the documentation."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

Shoot = Callable[[Page, str], None]

PATIENCE = 60_000
"""Milliseconds: Airflow's pages ask for much, of an api-server that shares the machine with all else."""

WITHOUT_FOLDERS = r"""() => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
        texts.currentNode.data = texts.currentNode.data.replace(/(\/[\w.-]+){2,}\/(?=[\w.-])/g, "…/");
}"""


def sign_in(page: Page, address: str, user: str, password: str) -> None:
    """Sign in as people do."""
    expect.set_options(timeout=PATIENCE)
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/auth/login")
    page.locator("input[name=username]").fill(user)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/" not in url)


def take_picture(page: Page, path: Path) -> None:
    """Write what is to be seen, without the folders of this machine, and with few colours, so that it is small."""
    page.evaluate(WITHOUT_FOLDERS)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(64).save(path, optimize=True)
