"""Headless Chromium, driven over its DevTools pipe: nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def found() -> str | None:
    """The program, or None where this machine has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


_KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), " ": (32, " "), "ArrowUp": (38, ""),
    "ArrowDown": (40, ""), "ArrowLeft": (37, ""), "ArrowRight": (39, ""), "PageUp": (33, ""),
    "PageDown": (34, ""), "End": (35, ""), "Home": (36, ""),
}  # fmt: skip
"""Code and text of keys."""


class Tab:
    """One page of a browser. ``problems``: what it has complained of: errors, refused loads."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol, and its result."""
        return self._browser.send(method, self._session, self, **parameters)

    def open(
        self, address: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> None:
        """Go to ``address``, without a network, and wait until it is loaded."""
        self.problems.clear()
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.send("Page.navigate", url=address)
        self.value(
            "new Promise(done => document.readyState === 'complete' ? done(true)"
            " : addEventListener('load', () => done(true)))"
        )

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, or its promise."""
        result = self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise AssertionError(json.dumps(result["exceptionDetails"])[:1000])
        return result["result"].get("value")

    def until(self, expression: str, seconds: float = 60) -> Any:
        """The value of an expression once it is true."""
        wait = (
            f"const end = Date.now() + {1000 * seconds}; const look = () => {{"
            f" const value = ({expression}); if (value) done(value); else if (Date.now() > end)"
            f" fail(new Error('never: ' + {json.dumps(expression)})); else setTimeout(look, 50); }}"
        )
        return self.value(f"new Promise((done, fail) => {{ {wait}; look(); }})")

    def frame_value(self, expression: str) -> Any:
        """What a JavaScript expression gives in the page's only frame; None if it has none yet."""
        # A frame of another origin, such as a page of a report's, has a process of its own.
        targets = self._browser.send("Target.getTargets")["targetInfos"]
        frames = [target["targetId"] for target in targets if target["type"] == "iframe"]
        if not frames:
            return None
        try:
            attached = self._browser.send(
                "Target.attachToTarget", targetId=frames[-1], flatten=True
            )
            frame = Tab(self._browser, attached["sessionId"])
            value = frame.value(expression)
        except GoneError:
            # The frame was that of the page before, and went while it was asked.
            return None
        self.problems += frame.problems
        return value

    def press(self, key: str, *, shift: bool = False) -> None:
        """A key of the keyboard, as somebody presses it: Tab, Enter, Escape, ArrowDown, " "."""
        code, text = _KEYS[key]
        how: dict[str, Any] = {
            "key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code,
            "modifiers": 8 * shift,
        }  # fmt: skip
        kind = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", type=kind, **how, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **how)

    def printed(self, *, dark: bool = False) -> None:
        """Lay the page out as on A4 paper with the usual margins."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=718, height=1047, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="print", features=[scheme])

    def picture(self, path: Path) -> None:
        """The whole page, as a PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def heard(self, message: dict[str, Any]) -> None:
        """Take note of what the page complains of."""
        method, of = message["method"], message["params"]
        if method == "Runtime.exceptionThrown":
            details = of["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and of["entry"]["level"] == "error":
            self.problems.append(of["entry"]["text"])


class GoneError(Exception):
    """What was asked is closed, or another page has taken its place."""


_GONE = (-32001, -32602)
"""Codes of DevTools: no such session, no such target."""


class Browser:
    """A running Chromium."""

    def __init__(self, reading: int, writing: int) -> None:
        self._input, self._output = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
        self._buffer = b""
        self._number = 0

    def tab(self) -> Tab:
        """A new page."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, session)

    def send(
        self, method: str, session: str | None = None, tab: Tab | None = None, **parameters: Any
    ) -> Any:
        """A command and its result; events on the way are told to ``tab``."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._output.write(json.dumps(message).encode() + b"\0")
        self._output.flush()
        while True:
            answer = self._next()
            # What is asked of a target that goes meanwhile is never answered.
            lost = answer.get("method") == "Target.detachedFromTarget"
            if session and lost and answer["params"]["sessionId"] == session:
                raise GoneError("detached")
            if answer.get("id") == self._number:
                error = answer.get("error", {})
                if error.get("code") in _GONE or "navigated or closed" in error.get("message", ""):
                    raise GoneError(error["message"])
                assert "error" not in answer, answer["error"]
                return answer["result"]
            if tab is not None and "method" in answer:
                tab.heard(answer)

    def _next(self) -> Any:
        while b"\0" not in self._buffer:
            read = self._input.read1(1 << 20)  # type: ignore[attr-defined]
            assert read, "the browser has ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in ``folder``."""
    program = found()
    assert program is not None
    their_input, our_output = os.pipe()
    our_input, their_output = os.pipe()

    # Chromium reads commands from descriptor 3 and answers on 4; a shell puts ours there.
    script = f'exec "$0" "$@" 3<&{their_input} 4>&{their_output}'
    process = subprocess.Popen(
        ["bash", "-c", script, program, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(their_input, their_output),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_input)
    os.close(their_output)
    try:
        yield Browser(our_input, our_output)
    finally:
        process.terminate()
        process.wait(30)
