"""The one way to addresses that somebody told us: connections, hosts, cookies, sizes and answers that never end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.delivery.outbox import Deferred, Rejected, Unknown
from services.channel.senders.pinned_post import Answer, PinnedPost
from tests.contract.sender_peers.http_peer import Asked, Reply, free_port, serving

HERE = frozenset({"127.0.0.1", "localhost"})


@pytest.fixture
async def post() -> AsyncIterator[PinnedPost]:
    made = PinnedPost(timeout_s=0.5)
    yield made
    await made.close()
    await made.close()


async def test_what_goes_out_and_what_comes_back(post: PinnedPost) -> None:
    seen: list[Asked] = []

    def answers(asked: Asked) -> Reply:
        seen.append(asked)
        return Reply(207, b"body", {"Retry-After": "3", "Set-Cookie": "a=b", "X-Odd": "\xff"})

    async with serving(answers) as port:
        for _ in range(2):
            answer = await post(f"http://127.0.0.1:{port}/a/b?c=d", {"X-One": "1"}, b"\x00sent", HERE)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.said) == (207, b"body", "207 body")
    assert answer.headers["retry-after"] == "3"
    for asked in seen:
        assert (asked.path, asked.body, asked.headers["host"]) == ("/a/b?c=d", b"\x00sent", f"127.0.0.1:{port}")
        assert (asked.headers["x-one"], asked.headers["accept-encoding"]) == ("1", "identity")
        # What one receiver sets is nobody's business at the next call.
        assert "cookie" not in asked.headers


async def test_two_names_of_one_address_share_no_connection(post: PinnedPost) -> None:
    hosts: list[str] = []
    connections: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            hosts.append(head.lower().split("host: ")[1].split("\r\n")[0].split(":")[0])
            writer.write(b"HTTP/1.1 204 X\r\n\r\n")

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for host in ("127.0.0.1", "localhost", "127.0.0.1", "localhost"):
        assert isinstance(await post(f"http://{host}:{port}/", {}, b"", HERE), Answer)
    assert (hosts, len(connections)) == (["127.0.0.1", "localhost"] * 2, 2)
    server.close()


async def test_of_many_servers_the_last_ones_are_kept(post: PinnedPost) -> None:
    async with serving(lambda _asked: Reply(200)) as port:
        for other in range(1, 81):  # where nobody listens, as a rule
            await post(f"http://127.0.0.1:{other}/", {}, b"", HERE)
            assert isinstance(await post(f"http://127.0.0.1:{port}/", {}, b"", HERE), Answer)
        assert len(post._kept) == 64
        assert f"http://127.0.0.1:{port}" in post._kept


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::1]:{port}/"])
async def test_hosts_that_are_not_listed_are_not_called(post: PinnedPost, url: str) -> None:
    calls: list[Asked] = []

    def answers(asked: Asked) -> Reply:
        calls.append(asked)
        return Reply(200)

    async with serving(answers) as port:
        outcome = await post(url.format(port=port), {}, b"", frozenset({"elsewhere"}))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.by_provider, calls) == ("PRIVATE_ADDRESS", False, [])


async def test_a_long_answer_is_read_to_its_beginning_only(post: PinnedPost) -> None:
    async with serving(lambda _asked: Reply(200, b"x" * 3_000_000)) as port:
        answer = await post(f"http://127.0.0.1:{port}/", {}, b"", HERE)
        again = await post(f"http://127.0.0.1:{port}/", {}, b"", HERE)
    assert isinstance(answer, Answer)
    assert isinstance(again, Answer)
    assert len(answer.body) == 4_096


async def test_no_answer_no_connection_no_host(post: PinnedPost) -> None:
    async def mute(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    silent = await post(f"http://127.0.0.1:{port}/", {}, b"", HERE)
    assert isinstance(silent, Unknown)
    assert silent.reason == "NO_ANSWER: ReadTimeout"
    server.close()
    refused = await post(f"http://127.0.0.1:{await free_port()}/", {}, b"", HERE)
    nowhere = await post("http://nobody.invalid/", {}, b"", HERE)
    assert isinstance(refused, Deferred)
    assert isinstance(nowhere, Deferred)
    assert (refused.reason, nowhere.reason) == ("PROVIDER_UNREACHABLE", "HOST_NOT_FOUND")


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_half_an_answer_is_none(post: PinnedPost, said: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    outcome = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}, b"", HERE)
    assert isinstance(outcome, Unknown)
    server.close()
