"""Drives a headless Chromium by its DevTools protocol, with nothing but Python's own library.

The protocol travels over two pipes (`--remote-debugging-pipe`: descriptors 3 and 4, messages of JSON that end with
a zero byte), so that no port is opened. The profile is a new, empty folder; the browser asks nothing of any network.
"""

import base64
import json
import os
import subprocess
import tempfile
import time

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


class Failed(Exception):
    """What the page or the browser did is not what it should be."""


class Browser:
    """A browser with one page. Whatever the page asks for, and says on its console, is kept."""

    def __init__(self, program="chromium", seconds=120):
        self.seconds = seconds
        self.requests = []
        self.urls = {}
        self.blocked = set()
        self.console = []
        self.exceptions = []
        self.events = []
        self.next = 0
        self.buffer = b""
        self.profile = tempfile.TemporaryDirectory(prefix="assay-chromium-", ignore_cleanup_errors=True)
        to_read, self.to_write = os.pipe()
        self.to_read, from_write = os.pipe()

        def pipes():
            # Above 4 first, so that neither closes the other.
            low, high = os.dup(to_read), os.dup(from_write)
            low, high = os.dup2(low, 103), os.dup2(high, 104)
            os.dup2(low, 3)
            os.dup2(high, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=pipes,
            close_fds=False,
        )
        os.close(to_read)
        os.close(from_write)
        os.set_blocking(self.to_read, False)
        self.session = None
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(one for one in pages if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Network", "Log", "DOM"]:
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(10)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.profile.cleanup()

    def call(self, method, **params):
        """Calls a method of the protocol and returns what it answers."""
        self.next += 1
        message = {"id": self.next, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data) :]
        until = time.monotonic() + self.seconds
        while True:
            answer = self.receive(until)
            if answer.get("id") == self.next:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def receive(self, until):
        """The next message. Events are kept on the way."""
        while b"\0" not in self.buffer:
            if time.monotonic() > until:
                raise Failed("the browser does not answer")
            try:
                part = os.read(self.to_read, 1 << 20)
                if not part:
                    raise Failed("the browser has ended")
                self.buffer += part
            except BlockingIOError:
                time.sleep(0.005)
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.urls[params["requestId"]] = params["request"]["url"]
            self.requests.append(params["request"]["url"])
        elif method == "Network.loadingFailed" and params.get("blockedReason"):
            self.blocked.add(self.urls.get(params["requestId"]))
        elif method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(one.get("value")) for one in params["args"]))
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.exceptions.append(params["exceptionDetails"].get("text", "an exception"))
        if method:
            self.events.append(method)
        return message

    def open(self, url):
        """Opens a page and waits until it has loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        until = time.monotonic() + self.seconds
        while "Page.loadEventFired" not in self.events:
            self.receive(until)

    def size(self, width, height):
        """The window, in pixels of the style sheet."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def theme(self, scheme):
        """`light` or `dark`, as a person's system says."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def media(self, name):
        """What the page is shown on: `print`, or as usual."""
        self.call("Emulation.setEmulatedMedia", media=name, features=[])

    def scripts(self, allowed):
        """Whether scripts run."""
        self.call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def ask(self, expression):
        """The value of an expression on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def press(self, *keys):
        """Presses keys one after the other, by their names or characters."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9}
        for key in keys:
            event = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key.upper()[0]))}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None)
            down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
            self.call("Input.dispatchKeyEvent", **down, **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector):
        """Clicks the middle of the first element that the selector finds, as a mouse would."""
        place = f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = found.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        x, y = self.ask(place)
        for kind in ["mousePressed", "mouseReleased"]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path, whole=False):
        """Saves what the window shows, or the whole page, as PNG."""
        params = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            height = min(size["height"], 12000)
            params["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}
        data = self.call("Page.captureScreenshot", **params)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def print(self, path):
        """Prints the page to a PDF and returns its bytes."""
        data = base64.b64decode(self.call("Page.printToPDF", printBackground=False, paperWidth=8.27, paperHeight=11.69)["data"])
        with open(path, "wb") as file:
            file.write(data)
        return data
