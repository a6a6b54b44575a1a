"""Chromium without a screen, told what to do through selenium: for pages that are to be looked at, timed or clicked.

Knows where Debian has it; does not know any page. Needs the packages `chromium` and `chromium-driver`, and the extra
`dev`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,1000"),
    *("--no-first-run", "--disable-quic", "--disable-background-networking", "--disable-dev-shm-usage"),
)


def lacking() -> str | None:
    """Why no browser can be opened; None where one can."""
    if find_spec("selenium") is None:
        return "selenium is not installed"
    if not any(map(shutil.which, NAMES)):
        return f"there is none of {', '.join(NAMES)}"
    return None if shutil.which("chromedriver") else "there is no chromedriver"


@contextmanager
def browser() -> Iterator[Chrome]:
    """A fresh browser whose console and network are logged; gone behind the block."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, NAMES)))
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    try:
        yield opened
    finally:
        opened.quit()


def complaints(opened: Chrome) -> list[str]:
    """What the page said on the console since the last call, warnings and errors."""
    return [entry["message"] for entry in opened.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]


def asked_of_the_network(opened: Chrome) -> list[str]:
    """The addresses that were asked for since the last call and lie neither in the page nor beside it."""
    messages = (json.loads(entry["message"])["message"] for entry in opened.get_log("performance"))
    asked = [told["params"]["request"]["url"] for told in messages if told["method"] == "Network.requestWillBeSent"]
    return [address for address in asked if not address.startswith(("file:", "data:"))]
