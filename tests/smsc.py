"""A running SMS centre for tests: the npm package `smpp`, another implementation than ours."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.channel.providers import ProviderSettings
from services.runtime.server_process import free_port
from tests.node_packages import installed

SOURCE = Path(__file__).parent / "contract" / "sender_peers" / "smsc"
PASSWORD = "secret"
_START_S = 30.0


class Smsc:
    """`with Smsc() as smsc`: takes messages; `behave` says how from now on. What came stands in `units`."""

    def __init__(self, port: int = 0, key_pem: bytes = b"", cert_pem: bytes = b"") -> None:
        """With a key and a certificate it speaks TLS."""
        self._folder = Path(tempfile.mkdtemp())
        if key_pem:
            (self._folder / "key.pem").write_bytes(key_pem)
            (self._folder / "cert.pem").write_bytes(cert_pem)
        self._units = self._folder / "units"
        self._units.touch()
        self.port = port or free_port()
        self._process: subprocess.Popen[str] | None = None
        self.behave("accept")

    def __enter__(self) -> Smsc:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Listen; after `stop`, again on the same port."""
        listened = len(self.units("listening"))
        self._process = subprocess.Popen(
            ["node", "smsc.mjs", str(self._folder), str(self.port), PASSWORD],
            cwd=installed(SOURCE),
            stdin=subprocess.PIPE,
            text=True,
        )
        until_s = time.monotonic() + _START_S
        while len(self.units("listening")) == listened:
            assert self._process.poll() is None, "the SMS centre ended"
            assert time.monotonic() < until_s, "the SMS centre does not listen"
            time.sleep(0.01)

    def stop(self) -> None:
        """End the process, with all sessions."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def provider(self, **settings: str) -> ProviderSettings:
        """As a workspace would name it."""
        told = {"host": "127.0.0.1", "port": str(self.port), "system_id": "shop", "source": "Shop", **settings}
        return ProviderSettings("centre", "smpp", told, {"password": PASSWORD})

    def behave(self, how: str) -> None:
        """accept, refuse, gone, throttle, throttle part 3 once, vendor, no answer, deaf."""
        partial = self._folder / "next"
        partial.write_text(how)
        partial.replace(self._folder / "behaviour")

    def ask(self, **what: Any) -> None:
        """Have a receipt sent (`id`, `state`), or `hang_up`, `enquire`, or a `text` from a phone."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def units(self, name: str) -> list[dict[str, Any]]:
        """All units of a kind that came so far, in order."""
        rows = [json.loads(line) for line in self._units.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [row for row in rows if row["unit"] == name]

    def texts(self) -> list[str]:
        """The messages as a phone shows them: parts joined, in the order in which the last part came."""
        parts: dict[tuple[str, int, int], dict[int, str]] = {}
        found = []
        for unit in self.units("submit"):
            if unit["total"] == 1:
                found.append(unit["text"])
                continue
            key = (unit["destination"], unit["reference"], unit["total"])
            known = parts.setdefault(key, {})
            known[unit["number"]] = unit["text"]
            if len(known) == unit["total"]:
                found.append("".join(known[number] for number in sorted(known)))
                del parts[key]
        return found

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for a state, which the caller names for the case that it does not come."""
        until_s = time.monotonic() + _START_S
        while not true():
            assert time.monotonic() < until_s, what
            await asyncio.sleep(0.01)
