"""`make run` as a person sees it, on a sample of the data: everything starts, the feed is imported, the shop's visits
appear. The cart has tests of its own; it would take half a minute here."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from services.runtime.server_process import free_port

ROOT = Path(__file__).parents[2]
_WITHIN_S = 120.0
_SHOP = re.compile(r"demo shop (http://shop\.localhost:(\d+)/)")
_KEY = re.compile(r"cdp_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")


class Screen:
    """What a program prints, line by line."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self.text = ""

    async def until(self, wanted: str) -> None:
        """Read on until a line holds `wanted`. Fails at the end of the output, or after _WITHIN_S."""
        async with asyncio.timeout(_WITHIN_S):
            while wanted not in self.text:
                line = await self._stream.readline()
                assert line, f"the demo ended before it said {wanted!r}:\n{self.text[-3_000:]}"
                self.text += line.decode()


@asynccontextmanager
async def program(environment: dict[str, str], *arguments: str) -> AsyncIterator[Screen]:
    """`cdp` with `arguments`; interrupted in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *arguments, cwd=ROOT, env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield Screen(process.stdout)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)


async def test_the_demo_imports_a_feed_and_shows_visits(tmp_path: Path) -> None:
    grpc_port, http_port = free_port(), free_port()
    environment = {
        "CDP_GRPC_PORT": str(grpc_port),
        "CDP_HTTP_PORT": str(http_port),
        "CDP_DATA_DIR": str(tmp_path),
        "CDP_LOG_LEVEL": "warning",
    }
    key_file = tmp_path / "dev-key"
    async with program(environment, "up"):
        async with asyncio.timeout(_WITHIN_S):
            while not key_file.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
        demo = (
            "demo", "--address", f"127.0.0.1:{grpc_port}", "--http-url", f"http://127.0.0.1:{http_port}",
            "--key-file", str(key_file), "--share", "0.01", "--no-scenarios", "--stay",
        )  # fmt: skip
        async with program({}, *demo) as screen:
            await screen.until("demo shop")
            assert "agrees" in screen.text
            assert re.search(r"first import: [\d,]+ items read, 0 refused", screen.text)
            assert re.search(r"out of stock: 0 contacts before it, [1-9]", screen.text)
            shop = _SHOP.search(screen.text)
            assert shop is not None
            await screen.until("cdp.segment.v1.SegmentService/Evaluate")
            async with httpx2.AsyncClient() as http:
                page = await http.get(f"http://127.0.0.1:{shop[2]}/")
                found = _KEY.search(page.text)
                assert found is not None
                event = {"type": "track", "event": "Product Viewed", "anonymousId": "visitor-7"}
                event |= {"properties": {"product_id": "p1"}, "context": {"page": {"url": shop[1]}}}  # type: ignore[dict-item]
                for _ in range(100):  # the stream of visits opens a moment after the page
                    answer = await http.post(
                        f"http://127.0.0.1:{http_port}/t",
                        json={"writeKey": found[0], "batch": [event]},
                        headers={"origin": shop[1].rstrip("/")},
                    )
                    assert answer.status_code == 200, answer.text
                    try:
                        async with asyncio.timeout(0.5):
                            await screen.until("shop: product_viewed by anonymous_id visitor-7: p1")
                        break
                    except TimeoutError:
                        continue
            assert "shop: product_viewed by anonymous_id visitor-7: p1" in screen.text
