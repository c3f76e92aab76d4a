"""Bad senders: too slow, too large, gone in the middle, or not speaking the protocol at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
import pytest_asyncio

from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from services.runtime.errors import from_rpc
from services.runtime.http_patience import PatientProtocol
from services.runtime.roles import Role
from tests.flow.bad_input import RPCS, Bad, Range, Rpc, good_event, of, under_fire
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PATIENCE_S = 1.0
BODY = b'{"type":"track","event":"Note","userId":"wire"}'

#: Requests on a raw connection: (class, what, what is sent, status that is answered; empty: closed without a
#: word, "reset": closed, whether the sender hears 400 or not).
WIRE = (
    (Bad.LYING_LENGTH, "larger than the body", "Content-Length: 900", BODY, ""),
    (Bad.LYING_LENGTH, "smaller than the body", "Content-Length: 20", BODY, "400"),
    (Bad.LYING_LENGTH, "beyond the limit", "Content-Length: 999999999999", BODY, "400"),
    (Bad.LYING_LENGTH, "of 5,000 digits", "Content-Length: " + "9" * 5_000, BODY, "400"),
    (Bad.LYING_LENGTH, "negative", "Content-Length: -1", BODY, "400"),
    (Bad.LYING_LENGTH, "twice", "Content-Length: 47\r\nContent-Length: 48", BODY, "400"),
    (Bad.LYING_LENGTH, "and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n", "400"),
    (Bad.LYING_LENGTH, "chunks that are none", "Transfer-Encoding: chunked", b"zz\r\n", "400"),
    (Bad.OVERSIZE, "chunks without end", "Transfer-Encoding: chunked", b"8000\r\n" + b" " * 0x8000 + b"\r\n", "reset"),
    (Bad.OVERSIZE, "a header of 100 KB", "X-Long: " + "x" * 100_000, b"", "400"),
    (Bad.HEADER_INJECTION, "a header with NUL", "X-A: a\0b", b"", "400"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    usual, PatientProtocol.request_s = PatientProtocol.request_s, PATIENCE_S
    try:
        async with under_fire(tmp_path_factory.mktemp("data")) as one:
            yield one
    finally:
        PatientProtocol.request_s = usual


async def exchange(fire: Range, parts: Iterable[bytes], pause_s: float = 0.0) -> bytes:
    """What the HTTP port answers to `parts`, sent with pauses, until it closes; TimeoutError if it never does."""
    port = int(fire.platform.http_url(Role.INGEST).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(10 * PATIENCE_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()


def head(fire: Range, *lines: str) -> bytes:
    usual = ("POST /v1/track HTTP/1.1", "Host: shop", f"Authorization: Bearer {fire.platform.key}")
    return "\r\n".join((*usual, *lines, "", "")).encode()


async def test_senders_that_trickle_are_let_go(fire: Range) -> None:
    """Bad.SLOW_SENDER: nothing at all, a head, a body, byte by byte; good calls go through meanwhile."""
    started_s = asyncio.get_running_loop().time()
    slow = [
        exchange(fire, []),
        exchange(fire, (bytes([byte]) for byte in head(fire, "X-Slow: " + "x" * 1_000)), 0.05),
        exchange(fire, [head(fire, "Content-Length: 1000"), *([b"{"] * 1_000)], 0.05),
        exchange(fire, [head(fire, f"Content-Length: {len(BODY)}") + BODY, *([b"P"] * 1_000)], 0.05),
    ]
    waiting = asyncio.gather(*slow)
    while not waiting.done():
        await fire.good()
        await asyncio.sleep(0.02)
    silent, slow_head, slow_body, slow_second = await waiting
    assert (silent, slow_head, slow_body) == (b"", b"", b"")
    assert slow_second.startswith(b"HTTP/1.1 200"), "the whole request before was answered"
    assert asyncio.get_running_loop().time() - started_s < 5 * PATIENCE_S


async def test_a_large_file_has_the_time_that_it_needs(fire: Range) -> None:
    """Bad.SLOW_SENDER: an upload that goes on is longer under way than a request may be; one that stops is let go."""
    usual, PatientProtocol.least_bytes = PatientProtocol.least_bytes, 1_000
    parts = [b"id,price\n"] + [b"x" * 999 + b"\n"] * 60
    who = f"Host: shop\r\nAuthorization: Bearer {fire.platform.key}\r\nConnection: close\r\n"
    try:
        for path, status in (("/v1/files/slow.csv", "200"), ("/v1/feeds/nobodys", "404")):
            length = sum(len(part) for part in parts)
            begin = f"PUT {path} HTTP/1.1\r\n{who}Content-Length: {length}\r\n\r\n".encode()
            answer = await exchange(fire, [begin, *parts], 0.05)
            assert answer.split(b" ")[1:2] == [status.encode()], answer[:300]
        stopped = f"PUT /v1/files/stopped.csv HTTP/1.1\r\n{who}Content-Length: 99999\r\n\r\n".encode()
        assert await exchange(fire, [stopped, *parts[:20]]) == b""
    finally:
        PatientProtocol.least_bytes = usual


async def test_requests_that_lie(fire: Range) -> None:
    for bad, what, header, body, status in WIRE:
        parts = [head(fire, "Connection: close", header) + body]
        if what == "chunks without end":
            parts += [body] * 30
        answer = await exchange(fire, parts)
        lines = answer.split(b"\r\n")
        told = (lines[0].split(b" ")[1:2] or [b""])[0].decode()
        # Closing on a sender that does not stop may overtake the answer.
        assert told in (("400", "") if status == "reset" else (status,)), (bad, what, answer[:200])
        await fire.good()


async def test_garbage_instead_of_a_protocol(fire: Range) -> None:
    """Bad.INVALID_UTF8 and OVERSIZE below the level of messages, at both ports."""
    answer = await exchange(fire, [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" * 20 + b"\r\n\r\n"])
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    port = int(fire.platform.address(Role.INGEST).rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"\xff" * 10_000)
    async with asyncio.timeout(10.0):
        await reader.read()
    writer.close()
    await fire.good()


def _first_is_text(rpc: Rpc) -> bool:
    first = rpc.request.DESCRIPTOR.fields_by_number.get(1)
    return first is not None and first.type == first.TYPE_STRING


@pytest.mark.parametrize(
    ("payload", "texts_only"),
    [(b"\xff" * 100, False), (b"\x0a\xff\xff\xff\xff\x0f", False), (b"\x0a\x02\xff\xfe", True)],
    ids=["noise", "cut", "broken UTF-8"],
)
async def test_messages_that_are_none(fire: Range, payload: bytes, texts_only: bool) -> None:
    """Bad.INVALID_UTF8: bytes that are no message, and a text in one that is no UTF-8, at every method."""
    asked = [rpc for rpc in RPCS.values() if not rpc.client_streaming and (not texts_only or _first_is_text(rpc))]
    assert len(asked) > 20
    for rpc in asked:
        for metadata, reasons in ((fire.metadata, ("BAD_MESSAGE", "SCOPE_TOO_NARROW")), ((), ("NO_KEY",))):
            raw: Any = (fire.channel.unary_stream if rpc.server_streaming else fire.channel.unary_unary)(rpc.path)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                sent = raw(payload, metadata=metadata, timeout=10.0)
                await (sent.read() if rpc.server_streaming else sent)
            assert from_rpc(caught.value).reason in reasons, rpc.path
    for name in ("cdp.ingest.v1.IngestService/Subscribe", "cdp.profile.v1.ProfileService/Subscribe"):
        feed: Any = fire.channel.stream_stream(f"/{name}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await feed(iter([b"\xff"]), metadata=fire.metadata, timeout=10.0).read()
        assert from_rpc(caught.value).reason == "BAD_MESSAGE"
    await fire.good()


async def test_messages_beyond_the_size_of_a_call(fire: Range) -> None:
    """Bad.OVERSIZE: refused by the transport before anything is read."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(fire.platform.address(Role.INGEST), options=options) as channel:
        for path in (
            "/cdp.ingest.v1.IngestService/IngestBatch",
            "/cdp.segment.v1.SegmentService/Evaluate",
            "/cdp.channel.v1.ChannelService/Send",
            "/cdp.scenario.v1.ScenarioService/SaveScenario",
        ):
            call: Any = channel.unary_unary(path)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(b"\0" * ((16 << 20) + 1), metadata=fire.metadata, timeout=20.0)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, path
            await fire.good()


async def test_calls_and_streams_that_are_cancelled(fire: Range) -> None:
    """Bad.CANCELLED: an acknowledged item stays, a cancelled one is there or not, and the readers are let go."""
    await fire.ok(segment_pb2.SaveSegmentRequest(name="All", rule=segment_pb2.RuleSource(text="everyone")))
    track = RPCS["cdp.ingest.v1.IngestService/Track"]
    send = fire.channel.unary_unary(track.path, track.request.SerializeToString, track.response.FromString)
    for number in range(100):
        event = ingest_pb2.Event(type="note", identifiers=good_event(0).identifiers, message_id=f"cancelled-{number}")
        pending = send(ingest_pb2.TrackRequest(event=event), metadata=fire.metadata)
        if number % 2:
            await asyncio.sleep(0)
        pending.cancel()
    for number in range(40):
        await fire.good()
        for name, request in (
            ("cdp.segment.v1.SegmentService/Watch", segment_pb2.WatchRequest()),
            ("cdp.segment.v1.SegmentService/Members", segment_pb2.MembersRequest(name="All")),
        ):
            rpc = RPCS[name]
            stream = fire.channel.unary_stream(rpc.path, rpc.request.SerializeToString, rpc.response.FromString)(
                request, metadata=fire.metadata
            )
            if number % 2:
                await stream.read()
            stream.cancel()
        for name, start in (
            ("cdp.ingest.v1.IngestService/Subscribe", of(ingest_pb2.SubscribeRequest, start={})),
            ("cdp.profile.v1.ProfileService/Subscribe", of(profile_pb2.SubscribeRequest, start={"max_in_flight": 1})),
        ):
            rpc = RPCS[name]
            both = fire.channel.stream_stream(rpc.path, rpc.request.SerializeToString, rpc.response.FromString)(
                metadata=fire.metadata
            )
            await both.write(start)
            if number % 2:
                await both.read()
            both.cancel()
    await asyncio.sleep(0)

    async def let_go() -> bool:
        mine = [task for task in asyncio.all_tasks() if "Watch" in repr(task.get_coro()) and not task.done()]
        return not mine

    await eventually(let_go, "no reader is left")


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "SUBSCRIBE_ORDER"),
        ([{"acknowledged_position": 1}], "SUBSCRIBE_ORDER"),
        ([{"start": {}}, {"start": {}}], "SUBSCRIBE_ORDER"),
        ([{"start": {"epoch": "another"}}], "EPOCH_CHANGED"),
        ([{"start": {"after_position": 2**64 - 1}}], "POSITION_AHEAD"),
    ],
)
async def test_subscriptions_out_of_order(fire: Range, requests: list[dict[str, object]], reason: str) -> None:
    """Bad.BAD_CURSOR: at both feeds."""
    for name in ("cdp.ingest.v1.IngestService/Subscribe", "cdp.profile.v1.ProfileService/Subscribe"):
        rpc = RPCS[name]
        open_feed = fire.channel.stream_stream(rpc.path, rpc.request.SerializeToString, rpc.response.FromString)
        feed = open_feed(iter([rpc.request(**one) for one in requests]), metadata=fire.metadata, timeout=10.0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in feed:
                pass
        assert from_rpc(caught.value).reason == reason
