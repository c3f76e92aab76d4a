"""A real headless Chromium, driven by its debugging protocol: just what the tests of pages need."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
#: What a person's browser says. The real one would say "HeadlessChrome", and be marked as a machine.
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
_HINTS = {
    "brands": [{"brand": "Chromium", "version": "150"}],
    "platform": "Linux",
    "platformVersion": "6.12.0",
    "architecture": "x86",
    "model": "",
    "mobile": False,
}
_PATIENCE_S = 20.0


def find_chromium() -> str | None:
    """The browser on PATH; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab in a profile of its own: its cookies and storage are nobody else's."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self.context = context

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """A command of the protocol."""
        return await self._browser.call(method, self._session, **params)

    async def goto(self, url: str) -> None:
        """Open `url`; returns once its scripts have drawn it (`data-drawn` of the body)."""
        await self.run(f"window.__left = true; location.href = {json.dumps(url)}; 0")
        await self.until("!window.__left && document.body && document.body.dataset.drawn === 'yes'")

    async def run(self, script: str) -> Any:
        """The value of `script`, awaited if it is a promise. Raises AssertionError with what the page threw."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until `condition` is true in the page."""
        deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            # While a page is left there is nothing that could be asked.
            with suppress(ProtocolError, AssertionError):
                if await self.run(condition):
                    return
            assert asyncio.get_running_loop().time() < deadline_s, f"not within {_PATIENCE_S} s: {condition}"
            await asyncio.sleep(0.02)

    async def click(self, selector: str) -> None:
        """Click the first element that `selector` finds."""
        await self.run(f"document.querySelector({json.dumps(selector)}).click()")

    async def offline(self, is_offline: bool) -> None:
        """Pull the plug, or put it back."""
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await self.call("Network.emulateNetworkConditions", offline=is_offline, **conditions)

    async def picture(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """A screenshot as PNG."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        """Close the tab as a person does: pagehide comes first."""
        await self.call("Page.close")


class ProtocolError(Exception):
    """The browser refused a command."""


class Browser:
    """A connection to a running browser."""

    def __init__(self, connection: ClientConnection, as_person: bool) -> None:
        self._connection = connection
        self._as_person = as_person
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        #: What the browser told by itself, the last of it: method, parameters.
        self.events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=1_000)
        self._reader = asyncio.create_task(self._read(), name="browser-answers")

    async def call(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        """A command of the protocol. Raises ProtocolError when it is refused."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        told = {"id": number, "method": method, "params": params}
        await self._connection.send(json.dumps(told | ({"sessionId": session} if session else {})))
        return await asyncio.wait_for(answer, _PATIENCE_S)

    async def page(self, context: str = "") -> Page:
        """A new tab; in the profile of another page when its `context` is given."""
        if not context:
            context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"], context)
        for domain in ("Page", "Network", "Runtime"):
            await page.call(f"{domain}.enable")
        if self._as_person:
            await page.call("Emulation.setUserAgentOverride", userAgent=PERSON, userAgentMetadata=_HINTS)
        return page

    async def worker(self, url: str) -> Page:
        """The running service worker whose script is at `url`, which may have more behind it; it goes on running while
        it is watched."""
        deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            targets = (await self.call("Target.getTargets"))["targetInfos"]
            found = [one for one in targets if one["type"] == "service_worker" and one["url"].startswith(url)]
            if found:
                break
            assert asyncio.get_running_loop().time() < deadline_s, f"no service worker within {_PATIENCE_S} s: {url}"
            await asyncio.sleep(0.02)
        attached = await self.call("Target.attachToTarget", targetId=found[0]["targetId"], flatten=True)
        worker = Page(self, attached["sessionId"], found[0].get("browserContextId", ""))
        await worker.call("Runtime.enable")
        return worker

    async def stop(self) -> None:
        """Let go of the connection."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader
        await self._connection.close()

    async def _read(self) -> None:
        async for text in self._connection:
            told = json.loads(text)
            if "method" in told:
                self.events.append((told["method"], told["params"]))
                continue
            waiting = self._waiting.pop(told.get("id", 0), None)
            if waiting is None or waiting.done():
                continue
            if "error" in told:
                waiting.set_exception(ProtocolError(told["error"]["message"]))
            else:
                waiting.set_result(told["result"])


@asynccontextmanager
async def browsing(path: str, folder: Path, *, as_person: bool = True) -> AsyncIterator[Browser]:
    """A browser with its profile in `folder`, which tells nobody that a program drives it unless `as_person` is
    false."""
    flags = ["--headless", "--remote-debugging-port=0", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    flags += [f"--user-data-dir={folder}", "--disable-background-networking", "--disable-component-update"]
    flags.append("--hide-scrollbars")
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses to run as root with it
    if as_person:
        flags.append("--disable-blink-features=AutomationControlled")
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        # Debian's program is a shell script that starts the browser: a session of its own, so that both are ended.
        process = await asyncio.create_subprocess_exec(
            path, *flags, "about:blank", stdout=log, stderr=log, start_new_session=True
        )
        try:
            connection = await connect(await _address(folder, process), max_size=None)
            browser = Browser(connection, as_person)
            try:
                yield browser
            finally:
                await browser.stop()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
            await asyncio.wait_for(process.wait(), _PATIENCE_S)


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str:
    told = folder / "DevToolsActivePort"
    deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
    while not (told.exists() and len(lines := told.read_text().splitlines()) == 2):
        assert process.returncode is None, f"the browser ended with {process.returncode}: see {folder.name}.log"
        assert asyncio.get_running_loop().time() < deadline_s, "the browser did not start"
        await asyncio.sleep(0.02)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
