"""The channel role as a process of its own on a real log, killed at its worst moments and started again."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from cdp.channel.v1 import channel_pb2
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from core.clock import DAY_US
from services.runtime.roles import Role
from services.runtime.stubs import Stubs
from tests.servers import ValkeyServer, start_valkey
from tests.unit.channel.world import Mailbox, Peers, listen, outgoing, soon

ROOT = Path(__file__).parents[2]
TOKEN = "internal-token-of-the-test"
MESSAGES = 60

CHILD = """
import asyncio, os
from services.channel.app import build
from services.runtime.clock import SystemClock
from services.runtime.host import Host
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from services.runtime.settings import Settings
from services.runtime.telemetry import configure_logging

async def main():
    settings = Settings.from_environment(os.environ)
    configure_logging(settings.log_format, settings.log_level)
    log = await RedisLog.connect(settings.redis_url)
    host = Host(settings, SystemClock(), log, {Role.CHANNEL: build})
    await host.start()
    await host.wait_ready(20)
    print("ready", host.grpc_port, host.http_port, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Registry(workspace_pb2_grpc.WorkspaceServiceServicer):
    """One workspace, for ever."""

    async def ListWorkspaces(self, request: workspace_pb2.ListWorkspacesRequest, context: Any) -> Any:
        """It, at once; and then nothing new."""
        if request.wait_etag:
            await asyncio.Event().wait()
        workspace = workspace_pb2.Workspace(id="w1", zone="UTC", currency="USD", bucket=7)
        return workspace_pb2.ListWorkspacesResponse(workspaces=[workspace], etag="1")


class Child:
    """The process under test."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.process: asyncio.subprocess.Process | None = None
        self.stubs: Stubs | None = None
        self.http_port = 0

    async def start(self, failpoint: str = "") -> None:
        """Start it and wait until it is ready."""
        extra = {"CDP_FAILPOINT": failpoint} if failpoint else {}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, cwd=ROOT, env={**self.environment, **extra}, stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while not (line := await self.process.stdout.readline()).startswith(b"ready"):
                assert line, "the role ended before it was ready"
        grpc_port, self.http_port = (int(port) for port in line.split()[1:])
        self.stubs = Stubs(lambda _role: f"127.0.0.1:{grpc_port}", TOKEN, 1 << 22)

    async def call(self, method: str, request: Any) -> Any:
        """One RPC as an internal caller of workspace w1, tried again while the role is not ready."""
        assert self.stubs is not None
        stub = self.stubs.channel()
        return await getattr(stub, method)(
            request, metadata=self.stubs.internal_metadata("w1"), timeout=20, wait_for_ready=True
        )

    async def end(self, how: str) -> int:
        """Send a signal (or none, to wait for its own death) and return the exit code."""
        assert self.process is not None
        if how and self.process.returncode is None:
            getattr(self.process, how)()
        code = await asyncio.wait_for(self.process.wait(), 30)
        if self.stubs is not None:
            await self.stubs.close()
        return code


@asynccontextmanager
async def surroundings(valkey: ValkeyServer, folder: Path) -> AsyncIterator[tuple[Child, Peers, Mailbox]]:
    peers = Peers()  # type: ignore[abstract]
    peers.add(1, "ann@mail.example")
    server = grpc.aio.server()
    peers.serve(server)
    workspace_pb2_grpc.add_WorkspaceServiceServicer_to_server(Registry(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    mailbox = Mailbox()
    smtp, smtp_port = await listen(mailbox)
    addresses = ("CDP_INGEST_ADDRESS", "CDP_PROFILE_ADDRESS", "CDP_SEGMENT_ADDRESS", "CDP_SCENARIO_ADDRESS")
    role = Child(
        {
            **dict.fromkeys(addresses, f"127.0.0.1:{port}"),
            "PATH": os.environ.get("PATH", ""),
            "CDP_ROLES": Role.CHANNEL.value,
            "CDP_GRPC_PORT": "0",
            "CDP_HTTP_PORT": "0",
            "CDP_REDIS_URL": valkey.url,
            "CDP_DATA_DIR": str(folder),
            "CDP_INTERNAL_TOKEN": TOKEN,
            "CDP_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "CDP_LEASE_TTL_S": "0.5",
            "CDP_LOG_LEVEL": "error",
        }
    )
    try:
        yield role, peers, mailbox
    finally:
        if role.process is not None and role.process.returncode is None:
            await role.end("kill")
        smtp.close()
        await server.stop(None)


async def prepared(role: Child, *caps: channel_pb2.Cap) -> None:
    settings = channel_pb2.Settings(live=True, caps=caps)
    setattr(settings, "from", "Shop <shop@shop.example>")
    await role.call("UpdateSettings", channel_pb2.UpdateSettingsRequest(settings=settings))
    template = channel_pb2.Template(
        channel="email", subject="{{ message.id }}", body_html='<a href="https://shop.example/">x</a>'
    )
    await role.call("SaveTemplate", channel_pb2.SaveTemplateRequest(name="hello", template=template))


async def states(role: Child, count: int) -> dict[str, int]:
    """Message id -> state, once no message is on its way any more."""
    moving = (channel_pb2.MESSAGE_STATE_RESERVED, channel_pb2.MESSAGE_STATE_SENDING)
    async with asyncio.timeout(20):
        while True:
            page = await role.call("ListMessages", channel_pb2.ListMessagesRequest(page_size=1_000))
            found = {one.message.id: one.state for one in page.messages}
            if len(found) == count and not any(state in moving for state in found.values()):
                return found
            await asyncio.sleep(0.02)  # another process: nothing here to be woken by


@pytest.mark.parametrize("place", ["channel.sending:20", "channel.sent:20"])
@pytest.mark.parametrize("kind", ["promo", "transactional"])
async def test_killed_between_sending_and_settling(tmp_path: Path, place: str, kind: str) -> None:
    valkey = start_valkey(tmp_path / "valkey", "always")
    try:
        async with surroundings(valkey, tmp_path) as (role, peers, mailbox):
            await role.start(place)
            await prepared(role)
            messages = [outgoing(f"m{number:02}", kind=kind) for number in range(MESSAGES)]
            await role.call("Send", channel_pb2.SendRequest(messages=messages))
            assert await role.end("") == 137
            await role.start()
            answer = await role.call("Send", channel_pb2.SendRequest(messages=messages))
            assert all(result.duplicate for result in answer.results)
            found = await states(role, MESSAGES)
            accepted = {name for name, state in found.items() if state == channel_pb2.MESSAGE_STATE_ACCEPTED}
            uncertain = {name for name, state in found.items() if state == channel_pb2.MESSAGE_STATE_UNCERTAIN}
            mailed = Counter(str(message_from_bytes(raw)["Subject"]) for _, raw in mailbox.mails)
            assert accepted | uncertain == set(found)
            assert accepted <= set(mailed)
            if kind == "promo":
                assert 1 <= len(uncertain) <= 16
                assert set(mailed.values()) == {1}
            else:
                assert not uncertain
                ids = {(message_from_bytes(raw)["Subject"], message_from_bytes(raw)["Message-ID"])
                       for _, raw in mailbox.mails}  # fmt: skip
                assert len(ids) == MESSAGES
            await soon(peers.changed, lambda: {e.message_id for e in peers.events("message_sent")} == {
                f"{name}:sent" for name in accepted
            })  # fmt: skip
            assert await role.end("terminate") != 137
    finally:
        valkey.stop()


@pytest.mark.parametrize("place", ["channel.sent:8", pytest.param("channel.sending:8", marks=pytest.mark.fault)])
async def test_killed_after_a_place_in_a_cap_was_taken(tmp_path: Path, place: str) -> None:
    """Whoever may have had the one message of the day gets no second one after the crash."""
    people, campaigns = range(1, 21), range(3)
    cap = channel_pb2.Cap(name="one", limit=1, period=channel_pb2.CAP_PERIOD_ROLLING, rolling_us=DAY_US)
    valkey = start_valkey(tmp_path / "valkey", "always")
    try:
        async with surroundings(valkey, tmp_path) as (role, peers, mailbox):
            for person in people:
                peers.add(person, f"p{person}@mail.example")
            await role.start(place)
            await prepared(role, cap)
            messages = [outgoing(f"c{number}-{person}", person) for number in campaigns for person in people]
            await role.call("Send", channel_pb2.SendRequest(messages=messages))
            assert await role.end("") == 137
            await role.start()
            found = await states(role, len(messages))
            mailed = Counter(recipients[0] for recipients, _ in mailbox.mails)
            assert set(mailed.values()) == {1}
            uncertain = [name for name, state in found.items() if state == channel_pb2.MESSAGE_STATE_UNCERTAIN]
            accepted = [name for name, state in found.items() if state == channel_pb2.MESSAGE_STATE_ACCEPTED]
            assert uncertain
            assert len(uncertain) + len(accepted) == len(people), "one each, and no place is lost"
    finally:
        valkey.stop()


async def test_killed_after_an_unsubscribe_was_acknowledged(tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path / "valkey", "always")
    try:
        async with surroundings(valkey, tmp_path) as (role, peers, mailbox):
            await role.start()
            await prepared(role)
            await role.call("Send", channel_pb2.SendRequest(messages=[outgoing("m1")]))
            await states(role, 1)
            url = message_from_bytes(mailbox.mails[0][1])["List-Unsubscribe"].strip("<>\r\n ")
            assert url.startswith(f"http://127.0.0.1:{role.http_port}/u/")
            peers.closed = True
            async with httpx2.AsyncClient() as browser:
                assert (await browser.get(url)).status_code == 200
                assert (await browser.post(url)).status_code == 200
                assert (await browser.get(url + "A")).status_code == 404
            assert await role.end("kill") == -9
            await role.start()
            peers.closed = False
            await role.call("Send", channel_pb2.SendRequest(messages=[outgoing("m2")]))
            found = await states(role, 2)
            assert found["m2"] == channel_pb2.MESSAGE_STATE_REFUSED
            assert len(mailbox.mails) == 1
            await soon(peers.changed, lambda: bool(peers.events("message_unsubscribed")))
            consents = [one.state for item in peers.items for one in item.person.consents]
            assert set(consents) == {"denied"}
    finally:
        valkey.stop()
