"""Headless Chromium, driven over WebDriver (https://www.w3.org/TR/webdriver2/), which is JSON over HTTP.

Each browser is a process of its own with a profile of its own, under one chromedriver. Nothing waits for a time:
`until` watches the page until it shows what it should.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from tests.support.times import PATIENCE

CHROMEDRIVER = shutil.which("chromedriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = not (CHROMEDRIVER and CHROMIUM)
REASON = "needs chromium and chromedriver (Debian: chromium-driver)"

ENTER = "\ue007"
# The name of an element in the protocol's JSON (§12).
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
OPTIONS = [
    "--headless=new",
    "--no-sandbox",  # CI runs as root, where Chromium refuses its sandbox; the only pages are ours
    "--disable-dev-shm-usage",  # /dev/shm is 64 MiB in containers
    "--disable-gpu",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no network but loopback, whatever it wants to update
    "--disable-background-networking",
    "--window-size=1100,800",
]


OBSERVE = """
const [code, given, done] = arguments, holds = new Function(code);
const look = () => { if (holds(...given)) { observer.disconnect(); done(true); } };
const observer = new MutationObserver(look);
observer.observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
look();
"""


class Browser:
    """One Chromium with one window."""

    def __init__(self, driver: str, http: requests.Session) -> None:
        self._http = http
        assert CHROMIUM is not None
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": CHROMIUM, "args": OPTIONS},
            "goog:loggingPrefs": {"browser": "ALL"},
            "pageLoadStrategy": "eager",  # modules have run by then
            "timeouts": {"script": int(PATIENCE * 1000)},
        }
        self._base = f"{driver}/session"
        made = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._base += "/" + made["sessionId"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, self._base + path, json=body, timeout=PATIENCE)
        value = answer.json()["value"]
        assert answer.status_code == 200, f"{path}: {value}"
        return value

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def reload(self) -> None:
        self._ask("POST", "/refresh", {})

    def script(self, code: str, *arguments: Any) -> Any:
        """What a function's body returns; its arguments are in `arguments`."""
        return self._ask("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Chromium's own protocol, for what WebDriver has no word for."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _element(self, css: str) -> str:
        found: str = self._ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]
        return found

    def click(self, css: str) -> None:
        """As a pointer does: an element that is hidden or covered is an error."""
        self._ask("POST", f"/element/{self._element(css)}/click", {})

    def type(self, css: str, text: str) -> None:
        """Key by key; `ENTER` is one."""
        self._ask("POST", f"/element/{self._element(css)}/value", {"text": text})

    def press(self, text: str) -> None:
        """Keys for whatever has the focus."""
        focused = self._ask("GET", "/element/active")[ELEMENT]
        self._ask("POST", f"/element/{focused}/value", {"text": text})

    def paste(self, text: str) -> None:
        """Text for whatever has the focus, all of it at once: a key takes milliseconds."""
        self.devtools("Input.insertText", text=text)

    def enter(self) -> None:
        """The Enter key, for whatever has the focus."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.devtools("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.devtools("Input.dispatchKeyEvent", type="keyUp", **key)

    def texts(self, css: str) -> list[str]:
        """The text of each element, shown or not."""
        found: list[str] = self.script(
            "return Array.from(document.querySelectorAll(arguments[0]), (one) => one.textContent)", css
        )
        return found

    def until(self, css: str, *wanted: str) -> None:
        """Wait until these are the texts of these elements."""
        self.until_true(
            "return JSON.stringify(Array.from(document.querySelectorAll(arguments[0]), (one) => one.textContent))"
            " === JSON.stringify(arguments[1])",
            css,
            wanted,
            or_else=lambda: f"{css} is {self.texts(css)}, not {list(wanted)}",
        )

    def until_true(self, code: str, *arguments: Any, or_else: Callable[[], str]) -> None:
        """Wait until what a function's body returns is true. It is asked again whenever the document changes."""
        told = self._http.post(
            f"{self._base}/execute/async",
            json={"script": OBSERVE, "args": [code, arguments]},
            timeout=2 * PATIENCE,
        ).json()["value"]
        if told is not True:
            raise AssertionError(f"{or_else()}; {told['error']}: {told['message'].splitlines()[0]}")

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since they were last asked for."""
        log = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))

    def close(self) -> None:
        self._ask("DELETE", "")


@contextmanager
def browsers(count: int) -> Iterator[list[Browser]]:
    """So many, closed at the end."""
    with ExitStack() as stack:
        # Chromium leaves folders behind; they go with the one that they are in.
        folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        # It looks for a port that is free in IPv6, which somebody may have in IPv4; then it ends.
        port = next(filter(None, (_driver(stack, folder) for _ in range(20))), None)
        assert port is not None, "chromedriver finds no port"
        http = stack.enter_context(requests.Session())
        http.trust_env = False  # a proxy of the environment is not for loopback
        made = []
        for _ in range(count):
            made.append(browser := Browser(f"http://127.0.0.1:{port}", http))
            stack.callback(browser.close)
        yield made


def _driver(stack: ExitStack, folder: str) -> str | None:
    """Start chromedriver, which ends with `stack`: its port, or None if it has found none."""
    assert CHROMEDRIVER is not None
    driver = stack.enter_context(
        subprocess.Popen(
            [CHROMEDRIVER, "--port=0"],
            env=os.environ | {"TMPDIR": folder},
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(driver.terminate)
    assert driver.stdout is not None
    said = ""
    while not (port := re.search(r"started successfully on port (\d+)", said)):
        line = driver.stdout.readline()
        if not line:
            assert "port not available" in said, f"chromedriver ended: {said}"
            return None
        said += line
    return port[1]
