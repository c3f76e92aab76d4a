"""The SDKs that are run, and how each is made to tell a story to a running ingest."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from tests.browser.chromium import Browser
from tests.sdk.story import Step

_HERE = Path(__file__).parent
_PATIENCE_S = 90.0


class Ground(StrEnum):
    """Where an SDK runs."""

    PYTHON = "python"
    NODE = "node"
    CHROMIUM = "chromium"


@dataclass(frozen=True, slots=True)
class Sdk:
    """An SDK: the name of its package, where it runs, and the driver or page that uses it."""

    package: str
    ground: Ground
    driver: str

    @property
    def user(self) -> str:
        """The person of its story."""
        return f"ann-{self.driver.partition('.')[0].removesuffix('_story')}-{self.ground}"

    @property
    def in_browser(self) -> bool:
        """Whether it runs in a page."""
        return self.ground is Ground.CHROMIUM


SDKS: Sequence[Sdk] = (
    Sdk("segment-analytics-python", Ground.PYTHON, "segment_story.py"),
    Sdk("@segment/analytics-node", Ground.NODE, "segment_story.mjs"),
    Sdk("@segment/analytics-next", Ground.CHROMIUM, "segment.html"),
    Sdk("rudder-sdk-python", Ground.PYTHON, "rudder_story.py"),
    Sdk("@rudderstack/rudder-sdk-node", Ground.NODE, "rudder_story.mjs"),
    Sdk("@rudderstack/analytics-js", Ground.CHROMIUM, "rudder.html"),
    Sdk("posthog", Ground.PYTHON, "posthog_story.py"),
    Sdk("posthog-node", Ground.NODE, "posthog_story.mjs"),
    Sdk("posthog-js", Ground.CHROMIUM, "posthog.html"),
)


async def tell(
    sdk: Sdk,
    folder: Path,
    url: str,
    key: str,
    steps: Sequence[Step],
    *,
    flushed: bool = False,
    clock_ahead: bool = False,
) -> None:
    """Run an SDK of a server, from `folder` (node_modules are looked for there), until it has ended by itself.
    `flushed`: in Python, wait for a flush before the end; in node that is how every driver ends. `clock_ahead`: in
    node, with a clock that is three hours ahead."""
    if sdk.ground is Ground.PYTHON:
        command = [sys.executable, str(_HERE / "python" / sdk.driver), url, key, *(["flush"] if flushed else [])]
    else:
        ahead = ["--import", str(folder / "later.mjs")] if clock_ahead else []
        command = ["node", *ahead, str(folder / sdk.driver), url, key]
    # Proxies of the machine are none of these SDKs' business: ingest is on this machine.
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            said, _ = await process.communicate(json.dumps(steps).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()


async def tell_in_browser(browser: Browser, sdk: Sdk, pages: str, url: str, key: str, steps: Sequence[Step]) -> None:
    """Open the page of a browser's SDK, from the server at `pages`. The page stays open."""
    page = await browser.page()
    told = json.dumps({"url": url, "key": key, "steps": steps})
    await page.goto(f"{pages}{sdk.driver}#{quote(told)}")
