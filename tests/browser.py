"""A page in headless chromium, through its debugging pipe: what it logs, asks for and shows."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
    "--remote-debugging-pipe",
    # Sound without a machine that has any, and a microphone that beeps.
    *("--autoplay-policy=no-user-gesture-required", "--mute-audio"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
_TIMEOUT_SEC = 60


def chromium():
    """Path of chromium; None where it is not installed."""
    return shutil.which("chromium")


class Browser:
    """Chromium with one empty page, as a context manager.

    Attributes:
        messages: Console messages, exceptions and log entries of the page.
        requests: URLs that the page asked for.
    """

    def __init__(self, executable):
        self._executable = executable
        self.messages = []
        self.requests = []

    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory()
        read_end, self._commands = os.pipe()
        self._answers, write_end = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        line = f'exec "$@" 3<&{read_end} 4>&{write_end}'
        flags = [*_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", line, "chromium", self._executable, *flags],
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self._pending, self._number, self._session = b"", 0, None
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self._call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._session = None
        self._call("Browser.close")
        self._process.wait(_TIMEOUT_SEC)
        os.close(self._commands)
        os.close(self._answers)
        self._profile.cleanup()

    def open(self, url, width=1200, height=900):
        """Opens a page and waits until it is loaded."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self._loaded = False
        self._call("Page.navigate", url=url)
        while not self._loaded:
            self._take(self._read())

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        return self._call("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def wait(self, expression):
        """Waits until a JavaScript expression is true."""
        deadline = time.monotonic() + _TIMEOUT_SEC
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def click(self, selector, across=0.5, down=0.5):
        """Clicks on a place of the first element of a selector, scrolled into view; parts of its width and height."""
        x, y = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}); "
            "box.scrollIntoView({block: 'center', behavior: 'instant'}); "
            "const {x, y, width, height} = box.getBoundingClientRect(); "
            f"return [x + {across} * width, y + {down} * height]; }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Presses a key: a name such as Enter or ArrowRight."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **text)

    def choose_file(self, selector, path):
        """Puts a file into an input."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def check(self, *addresses):
        """Asserts that nothing was complained about, nothing foreign asked for, and nothing is wider than the page.

        Args:
            *addresses: Beginnings of addresses that are not foreign.
        """
        assert self.messages == []
        own = ("file:", "data:", "blob:", *addresses)
        assert [url for url in self.requests if not url.startswith(own)] == []
        assert self.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def screenshot(self, path):
        """Writes the whole page as a PNG."""
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self):
        """The page as it prints: the bytes of a PDF."""
        return base64.b64decode(self._call("Page.printToPDF", printBackground=True)["data"])

    def _call(self, method, **parameters):
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def _take(self, message):
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(json.dumps(parameters))

    def _read(self):
        deadline = time.monotonic() + _TIMEOUT_SEC
        while b"\0" not in self._pending:
            left = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self._answers], [], [], left)
            assert ready, "chromium does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "chromium ended"
            self._pending += part
        message, self._pending = self._pending.split(b"\0", 1)
        return json.loads(message)
