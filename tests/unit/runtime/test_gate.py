"""The gate over a real server: who may call what, for how long, and what an error looks like."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from structlog.testing import capture_logs

from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from core.errors import CdpError, Code, Violation, unavailable
from services.runtime import workspaces
from services.runtime.host import Host
from services.runtime.roles import Role
from services.runtime.workspaces import WorkspaceDirectory
from tests.unit.runtime.house import TOKEN, House, bearer, channel_to, refusal, rule, segments, toy, until
from tests.unit.runtime.toys import ToyEngine, ToyRegistry

_S = grpc.StatusCode


async def test_a_call_needs_a_key_of_ours(host: Host) -> None:
    async with segments(host) as stub:
        status, error = await refusal(stub.ConvertRule(rule("x")))
        assert (status, error.reason) == (_S.UNAUTHENTICATED, "NO_KEY")
        for key in ("read-nobody", "", "x" * 1_000, "Bearer read-acme", TOKEN[:-1]):
            status, error = await refusal(stub.ConvertRule(rule("x"), metadata=bearer(key)))
            assert status is _S.UNAUTHENTICATED, key
        assert (await stub.ConvertRule(rule("x"), metadata=(("authorization", "read-acme"),))).text == "x"
        assert (await stub.ConvertRule(rule("x"), metadata=(("authorization", "bearer read-acme"),))).text == "x"


async def test_a_scope_that_is_too_narrow_is_refused(host: Host) -> None:
    async with segments(host) as stub:
        status, error = await refusal(stub.ConvertRule(rule("x"), metadata=bearer("write-acme")))
        assert (status, error.code, error.reason) == (_S.PERMISSION_DENIED, Code.FORBIDDEN, "SCOPE_TOO_NARROW")
        status, _ = await refusal(stub.SaveSegment(pb.SaveSegmentRequest(), metadata=bearer("read-acme")))
        assert status is _S.PERMISSION_DENIED
        await stub.SaveSegment(pb.SaveSegmentRequest(), metadata=bearer("full-acme"))


async def test_the_workspace_is_that_of_the_key(host: Host) -> None:
    async with segments(host) as stub:
        forged = bearer("read-acme", ("cdp-workspace", "other"), ("cdp-forwarded", "1"))
        for _ in range(2):  # the second is answered from the cache of keys
            assert (await stub.ConvertRule(rule("who"), metadata=forged)).text == "acme/READ/read-acme"
        twice = bearer("read-acme", ("authorization", "Bearer read-other"))
        assert (await stub.ConvertRule(rule("who"), metadata=twice)).text.startswith(("acme/", "other/"))


async def test_services_name_the_workspace(host: Host) -> None:
    async with segments(host) as stub:
        metadata = bearer(TOKEN, ("cdp-workspace", "other"))
        assert (await stub.ConvertRule(rule("who"), metadata=metadata)).text == "other/INTERNAL/internal"
        status, error = await refusal(stub.ConvertRule(rule("who"), metadata=bearer(TOKEN)))
        assert (status, error.reason) == (_S.UNAUTHENTICATED, "NO_WORKSPACE")
        nowhere = bearer(TOKEN, ("cdp-workspace", "nowhere"))
        status, error = await refusal(stub.ConvertRule(rule("who"), metadata=nowhere))
        assert (status, error.reason) == (_S.NOT_FOUND, "NO_SUCH_WORKSPACE")


async def test_a_revoked_key_is_refused_once_the_cache_is_over(host: Host) -> None:
    registry, now_s = toy(host, ToyRegistry), 0.0
    directory = WorkspaceDirectory(host.runtime.stubs, TOKEN, lambda: now_s)
    assert (await directory.authenticate("read-acme")).workspace.id == "acme"
    del registry.keys["read-acme"]
    now_s = workspaces.KEY_CACHE_S
    assert (await directory.authenticate("read-acme")).workspace.id == "acme"
    now_s += 0.001
    assert directory.cached("read-acme") is None
    with pytest.raises(CdpError) as refused:
        await directory.authenticate("read-acme")
    assert (refused.value.code, refused.value.reason) == (Code.UNAUTHENTICATED, "BAD_KEY")


async def test_calls_that_wait_for_one_key_ask_once(host: Host) -> None:
    registry = toy(host, ToyRegistry)
    directory = host.runtime.workspaces
    registry.asked.clear()
    first = asyncio.create_task(directory.authenticate("full-other"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(directory.authenticate("full-other")) for _ in range(50)]
    await asyncio.sleep(0)
    first.cancel()
    assert {found.key_name for found in await asyncio.gather(*others)} == {"full-other"}
    assert registry.asked == ["full-other"]
    for secret in ("é", "\udce9", "x" * 201):
        with pytest.raises(CdpError, match="no API key"):
            await directory.authenticate(secret)
        assert not directory.is_internal(secret)
    assert registry.asked == ["full-other"]


async def test_a_key_of_no_known_scope_opens_nothing(host: Host) -> None:
    registry = toy(host, ToyRegistry)
    for scope in (0, 5, 99):
        odd = type(registry.keys["read-acme"])()
        odd.CopyFrom(registry.keys["read-acme"])
        odd.key.scope = scope  # type: ignore[assignment]
        registry.keys[f"odd-{scope}"] = odd
        async with segments(host) as stub:
            status, error = await refusal(stub.ConvertRule(rule("who"), metadata=bearer(f"odd-{scope}")))
            assert (status, error.reason) == (_S.INTERNAL, "UNKNOWN_SCOPE")


async def test_a_method_without_a_scope_is_closed_and_the_server_goes_on(host: Host) -> None:
    async with segments(host) as stub:
        for key in ("full-acme", TOKEN):
            metadata = bearer(key, ("cdp-workspace", "acme"))
            status, error = await refusal(stub.DeleteSegment(pb.DeleteSegmentRequest(), metadata=metadata, timeout=5))
            assert (status, error.reason) == (_S.INTERNAL, "METHOD_HAS_NO_SCOPE")
        assert (await stub.ConvertRule(rule("x"), metadata=bearer("read-acme"))).text == "x"
    async with channel_to(host) as channel:
        unknown: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        unknown = channel.unary_unary("/cdp.segment.v1.SegmentService/Nothing")
        status, _ = await refusal(unknown(b"", metadata=bearer("full-acme")))
        assert status is _S.UNIMPLEMENTED


async def test_an_unexpected_error_is_logged_and_tells_nothing(host: Host) -> None:
    toy(host, ToyEngine).failure = ValueError("password of the database")
    async with segments(host) as stub:
        metadata = bearer("read-acme")
        for call in (
            lambda: stub.ConvertRule(rule("raise"), metadata=metadata, timeout=5),
            lambda: stub.Members(pb.MembersRequest(name="raise"), metadata=metadata, timeout=5).read(),
        ):
            with capture_logs() as logs:
                status, error = await refusal(call())
            assert (status, error.reason) == (_S.INTERNAL, "UNEXPECTED")
            assert "password" not in error.message
            traces = [log for log in logs if log["event"] == "unexpected error"]
            assert str(traces[0]["exc_info"]) == "password of the database"
            assert traces[0]["number"] in error.message
        assert (await stub.ConvertRule(rule("x"), metadata=bearer("read-acme"))).text == "x"


async def test_a_handlers_own_timeout_is_not_ours(host: Host) -> None:
    toy(host, ToyEngine).failure = TimeoutError("inner")
    async with segments(host) as stub:
        status, error = await refusal(stub.ConvertRule(rule("raise"), metadata=bearer("read-acme")))
    assert (status, error.reason) == (_S.INTERNAL, "UNEXPECTED")


async def test_errors_keep_reason_violations_and_hint(host: Host) -> None:
    engine = toy(host, ToyEngine)
    async with segments(host) as stub:
        for told in (
            unavailable("LATER", "come back", 2.5),
            CdpError(Code.INVALID, "BAD", "плохо\n", violations=(Violation("a[0].b", "no"), Violation("c", "ні"))),
        ):
            engine.failure = told
            _, error = await refusal(stub.ConvertRule(rule("raise"), metadata=bearer("read-acme")))
            assert (error.code, error.reason, error.message) == (told.code, told.reason, told.message)
            assert (error.violations, error.retry_after_s) == (told.violations, told.retry_after_s)


async def test_an_error_of_any_size_reaches_the_client(host: Host) -> None:
    many = tuple(Violation(f"batch[{n}].properties.{'я' * 200}", "слишком " * 50) for n in range(500))
    toy(host, ToyEngine).failure = CdpError(
        Code.INVALID, "HUGE", "ы" * 100_000 + "\udc80", violations=many, retry_after_s=1
    )
    async with segments(host) as stub:
        _, error = await refusal(stub.ConvertRule(rule("raise"), metadata=bearer("read-acme")))
    assert (error.code, error.reason, error.retry_after_s) == (Code.INVALID, "HUGE", 1)
    assert error.message.endswith("...")
    assert error.violations[0].path.startswith("batch[0].properties.")
    assert error.violations[-1] == Violation("", f"and {501 - len(error.violations)} more")


async def test_a_call_without_a_deadline_gets_ours(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_MAXIMUM_CALL_S="0.2")
    empty_house.registry.add("acme")
    engine = toy(host, ToyEngine)
    async with segments(host) as stub:
        for timeout_s in (None, 3600):
            call = stub.ConvertRule(rule("wait"), metadata=bearer("read-acme"), timeout=timeout_s)
            status, error = await refusal(call)
            assert (status, error.reason) == (_S.UNAVAILABLE, "CALL_TOO_LONG")
        assert engine.left == 2
        status, error = await refusal(stub.ConvertRule(rule("wait"), metadata=bearer("read-acme"), timeout=0.1))
        assert status is _S.DEADLINE_EXCEEDED
        await until(lambda: engine.left == 3, "the handler is cancelled at the caller's deadline")


async def _waiting(stub: segment_pb2_grpc.SegmentServiceStub, key: str, calls: int) -> list[asyncio.Task[str]]:
    """`calls` at once; those that are let in, waiting. The others were refused."""

    async def one() -> str:
        try:
            return str((await stub.ConvertRule(rule("wait"), metadata=bearer(key), timeout=20)).text)
        except grpc.aio.AioRpcError as error:
            assert error.code() is _S.RESOURCE_EXHAUSTED
            return "refused"

    done, waiting = await asyncio.wait([asyncio.create_task(one()) for _ in range(calls)], timeout=0.5)
    assert {call.result() for call in done} == {"refused"}
    return list(waiting)


async def test_too_many_calls_are_refused_with_a_hint(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_MAXIMUM_CONCURRENT_RPCS="4")
    empty_house.registry.add("acme")
    empty_house.registry.add("other")
    engine = toy(host, ToyEngine)
    await until(engine.ready, "the workspaces are owned")
    async with segments(host) as stub:
        waiting = await _waiting(stub, "read-acme", 12)
        assert len(waiting) == 2, "half of the room is that of one workspace"
        _, error = await refusal(stub.ConvertRule(rule("x"), metadata=bearer("read-acme")))
        assert (error.code, error.reason) == (Code.EXHAUSTED, "TOO_MANY_CALLS")
        assert error.retry_after_s == 0.5
        # One place is taken by the long poll of the host's own directory.
        waiting += await _waiting(stub, "read-other", 12)
        assert len(waiting) == 3
        engine.go.set()
        assert [await call for call in waiting] == ["wait"] * 3
        for key in ("read-acme", "read-other"):
            assert (await stub.ConvertRule(rule("x"), metadata=bearer(key))).text == "x"


async def test_a_share_comes_back_however_a_call_ends(empty_house: House) -> None:
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_MAXIMUM_CONCURRENT_RPCS="4")
    empty_house.registry.add("acme")
    engine = toy(host, ToyEngine)
    await until(engine.ready, "the workspace is owned")
    engine.failure = ValueError("unforeseen")
    metadata = bearer("read-acme")
    async with segments(host) as stub:
        for _ in range(5):
            await refusal(stub.ConvertRule(rule("raise"), metadata=metadata))
            await refusal(stub.ConvertRule(rule("wait"), metadata=metadata, timeout=0.02))
            await refusal(stub.Members(pb.MembersRequest(name="raise"), metadata=metadata, timeout=5).read())
            stream = stub.Members(pb.MembersRequest(name="wait"), metadata=metadata)
            await stream.read()
            stream.cancel()
            left = engine.left
            await until(lambda left=left: engine.left >= left, "the handler is let go")  # type: ignore[misc]
            await asyncio.sleep(0.05)
        assert len(await _waiting(stub, "read-acme", 8)) == 2
        engine.go.set()


async def test_a_message_over_the_limit_is_refused(empty_house: House) -> None:
    limit = 1 << 16
    host = await empty_house.start(Role.INGEST, Role.SEGMENT_ENGINE, CDP_MAXIMUM_MESSAGE_BYTES=str(limit))
    empty_house.registry.add("acme")
    async with channel_to(host) as channel:
        stub = segment_pb2_grpc.SegmentServiceStub(channel)
        overhead = rule("x" * 60_000).ByteSize() - 60_000
        largest = "x" * (limit - overhead)
        assert rule(largest).ByteSize() == limit
        # The text alone comes back in a smaller message, so that only the request is at its limit.
        assert len((await stub.ConvertRule(rule(largest), metadata=bearer("read-acme"))).text) == len(largest)
        status, _ = await refusal(stub.ConvertRule(rule(largest + "x"), metadata=bearer("read-acme")))
        assert status is _S.RESOURCE_EXHAUSTED
        assert (await stub.ConvertRule(rule("x"), metadata=bearer("read-acme"))).text == "x"


async def test_a_stream_that_nobody_reads_any_more_ends_its_handler(host: Host) -> None:
    engine = toy(host, ToyEngine)
    async with segments(host) as stub:
        waiting = stub.Members(pb.MembersRequest(name="wait"), metadata=bearer("read-acme"))
        assert await waiting.read() == pb.MembersResponse(roaring=b"waiting")
        waiting.cancel()
        await until(lambda: engine.left == 1, "a handler that waits is cancelled")
        slow = stub.Members(pb.MembersRequest(name="100000"), metadata=bearer("read-acme"))
        await slow.read()
        await asyncio.sleep(0.3)
        # Each block is 64 KiB: what is not read waits in the handler, not in memory.
        assert engine.sent < 300
        slow.cancel()
        await until(lambda: engine.left == 2, "a handler that writes is closed")
