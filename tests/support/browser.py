"""A real headless Chromium, driven over its DevTools protocol. `.ci/require chromium-headless-shell` installs it."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
TIMEOUT = 30.0
"""Seconds after which a test stops waiting."""
PHONE = (360, 740)
DESKTOP = (1200, 900)

_FLAGS = (
    "--headless",
    "--no-sandbox",  # it opens nothing but our own pages, and has no sandbox where the tests run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)


class Tab:
    """One page. It remembers what it asked for, and what it complained about."""

    def __init__(self, browser: "Browser", session: str, context: str) -> None:
        self._browser = browser
        self.context = context
        self._session = session
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol in this tab."""
        return await self._browser.call(method, self._session, **arguments)

    async def prepare(self, size: tuple[int, int], *, dark: bool, print_: bool) -> None:
        """Set the size and the medium, and watch."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        await self.call("Emulation.setEmulatedMedia", media="print" if print_ else "", features=[scheme])
        for domain in ("Network", "Runtime", "Log", "Page", "Audits"):
            await self.call(f"{domain}.enable")

    async def open(self, url: str) -> None:
        """Open an address."""
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON knows it. A promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        async with asyncio.timeout(TIMEOUT):
            while not await self.evaluate(f"Boolean({condition})"):
                assert not self._browser.is_closed, "Chromium ended"
                await asyncio.sleep(0.02)

    async def text(self, selector: str) -> str:
        """Return the text of an element, as it is shown."""
        shown: str = await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return shown

    async def screenshot(self, path: Path) -> None:
        """Write a picture of the complete page."""
        answer = await self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))

    def take(self, event: dict[str, Any]) -> None:
        """Take an event of the protocol."""
        details = event.get("params", {})
        match event["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(details["request"]["url"])
            case "Runtime.consoleAPICalled" if details["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(details["args"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(details["exceptionDetails"]))
            case "Log.entryAdded" if details["entry"]["level"] in ("error", "warning"):
                self.complaints.append(json.dumps(details["entry"]))
            case "Audits.issueAdded":
                self.complaints.append(json.dumps(details["issue"]))


class Browser:
    """A process of Chromium, and the one connection to it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return self._socket.closed

    async def call(self, method: str, session: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its answer."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": arguments}
        await self._socket.send_json(message if session is None else {**message, "sessionId": session})
        async with asyncio.timeout(TIMEOUT):
            answer = await self._answers[number]
        del self._answers[number]
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    @asynccontextmanager
    async def tab(
        self, url: str, size: tuple[int, int] = DESKTOP, *, dark: bool = False, print_: bool = False
    ) -> AsyncIterator[Tab]:
        """Open an address in a new tab without cookies, and close it at the end."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = (await self.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = self._tabs[session] = Tab(self, session, context)
        await tab.prepare(size, dark=dark, print_=print_)
        await tab.open(url)
        try:
            yield tab
        finally:
            del self._tabs[session]
            await self.call("Target.disposeBrowserContext", browserContextId=context)

    async def listen(self) -> None:
        """Take answers and events until the connection ends."""
        async for message in self._socket:
            document = message.json()
            if (answer := self._answers.get(document.get("id", 0))) is not None:
                if not answer.done():  # who asked may have given up
                    answer.set_result(document)
            elif (tab := self._tabs.get(document.get("sessionId", ""))) is not None:
                tab.take(document)


@asynccontextmanager
async def chromium(folder: Path, flags: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Run Chromium with its profile in `folder`."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program is not None, "Chromium is missing. Run: sh .ci/require chromium-headless-shell"
    words = (program, *_FLAGS, f"--user-data-dir={folder}", *flags, "about:blank")
    process = await asyncio.create_subprocess_exec(
        *words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    try:
        address = await _address(process, folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            browser = Browser(socket)
            listening = asyncio.create_task(browser.listen())
            yield browser
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also its helpers, which would write into the folder
        await process.wait()


async def _address(process: Process, file: Path) -> str:
    """Wait until Chromium has written where it listens, and return the address."""
    async with asyncio.timeout(TIMEOUT):
        while len(lines := _lines(file)) != 2:
            assert process.returncode is None, "Chromium ended"
            await asyncio.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
