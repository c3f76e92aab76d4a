"""People are forgotten for good: a mark is put into every field through every door, and afterwards searched for in
every byte that the platform keeps: the log server's files, archives, snapshots, dead letters, logs."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx2
import pyarrow.parquet as pq
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from cdp.deadletter.v1 import deadletter_pb2, deadletter_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import DAY_US, SECOND_US, ManualClock
from services.demo.client import again
from services.profile_unification.app import UnificationService
from services.runtime.errors import from_rpc
from services.runtime.redis_log import RedisLog
from services.runtime.roles import ALL_ROLES, Role
from tests.flow.mailbox import Mailbox
from tests.flow.platform import Platform, eventually
from tests.servers import ValkeyServer, start_valkey

T = 1_900_000_000_000_000
MARK, OTHER = "zqmarkzq", "zqotherzq"


class Shop:
    """A client of every door."""

    def __init__(self, platform: Platform, channels: dict[Role, grpc.aio.Channel]) -> None:
        self.platform = platform
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channels[Role.INGEST])
        self.profile = profile_pb2_grpc.ProfileServiceStub(channels[Role.PROFILE_UNIFICATION])
        self.channel = channel_pb2_grpc.ChannelServiceStub(channels[Role.CHANNEL])
        self.connection = channels[Role.INGEST]
        self.metadata = platform.metadata

    async def everything_about(self, mark: str) -> int:
        """Put `mark` into every field that speaks of one person; the last position of ingest's log."""
        now_us = self.platform.clock.now_us()
        external, email, cookie = _ids(mark)
        text = facts_pb2.Value(text=f"{mark}-value")
        children = facts_pb2.Value(
            objects=facts_pb2.ObjectList(
                values=[facts_pb2.Object(fields={"name": facts_pb2.Value(text=f"{mark}-kid")})]
            )
        )
        person = ingest_pb2.Person(
            message_id=f"{mark}-identify",
            occurred_at_us=now_us,
            identifiers=[external, email, facts_pb2.Identifier(kind="phone", value=_phone(mark))],
            attributes={
                "city": text,
                "tags": facts_pb2.Value(texts=facts_pb2.TextList(values=[f"{mark}-tag"])),
                "children": children,
            },
            consents=[
                facts_pb2.ConsentChange(channel="email", state="granted", source=f"{mark}-form", proof=f"{mark}-proof")
            ],
            lists=[facts_pb2.ListMove(list="friends", member=True)],
        )
        await self.ingest.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=self.metadata)
        event = ingest_pb2.Event(
            message_id=f"{mark}-event",
            type="product_viewed",
            occurred_at_us=now_us,
            identifiers=[cookie],
            params={"note": text},
            items=[facts_pb2.Object(fields={"product_id": facts_pb2.Value(text=f"{mark}-product")})],
        )
        await self.ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=self.metadata)
        link = ingest_pb2.Link(message_id=f"{mark}-alias", occurred_at_us=now_us, first=external, second=cookie)
        await self.ingest.Alias(ingest_pb2.AliasRequest(link=link), metadata=self.metadata)
        order = ingest_pb2.Order(
            order_id=f"order of {_phone(mark)[-3:]}", status="completed", occurred_at_us=now_us, identifiers=[email],
            params={"coupon": text},
        )  # fmt: skip
        await self.ingest.RecordOrder(ingest_pb2.RecordOrderRequest(order=order), metadata=self.metadata)
        authorization = "Basic " + b64encode(f"{self.platform.key}:".encode()).decode()
        body = {
            "messageId": f"{mark}-http", "event": "Something", "userId": external.value,
            "properties": {"secret": f"{mark}-property"},
        }  # fmt: skip
        async with httpx2.AsyncClient() as http:
            url = f"{self.platform.http_url(Role.INGEST)}/v1/track"
            answer = await http.post(url, json=body, headers={"Authorization": authorization})
        assert answer.status_code == 200, answer.text
        template = channel_pb2.Template(
            channel="email", subject="Hello {{ values.name }}",
            body_html='<a href="https://shop.example/{{ values.name }}">you</a>',
        )  # fmt: skip
        await self.channel.SaveTemplate(
            channel_pb2.SaveTemplateRequest(name="hello", template=template), metadata=self.metadata
        )
        found = await self.get(external)
        message = channel_pb2.OutgoingMessage(
            id=f"{mark}-message", contact=found.contact, channel="email", template="hello", kind="promo",
            values={"name": facts_pb2.Value(text=f"{mark}-name")},
        )  # fmt: skip
        sent = await self.channel.Send(channel_pb2.SendRequest(messages=[message]), metadata=self.metadata)
        assert not sent.results[0].reason, sent
        track = ingest_pb2.Event(type="site_visited", occurred_at_us=now_us, identifiers=[external])
        return int((await self.ingest.Track(ingest_pb2.TrackRequest(event=track), metadata=self.metadata)).position)

    async def identify(self, *names: facts_pb2.Identifier, city: str = "", at_us: int = 0) -> None:
        """Traits of somebody."""
        self.platform.clock.advance(SECOND_US)
        attributes = {"city": facts_pb2.Value(text=city)} if city else {}
        person = ingest_pb2.Person(identifiers=names, attributes=attributes, occurred_at_us=at_us)
        await self.ingest.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=self.metadata)

    async def track(self, one: facts_pb2.Identifier, number: int) -> None:
        """An event."""
        self.platform.clock.advance(SECOND_US)
        event = ingest_pb2.Event(message_id=f"event {number}", type="app_opened", identifiers=[one])
        await self.ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=self.metadata)

    async def view(self, one: facts_pb2.Identifier) -> profile_pb2.ViewResponse:
        """Everything of somebody."""
        await self.get(one)
        request = profile_pb2.ViewRequest(identifier=one, timeline_size=1_000)
        return await self.profile.View(request, metadata=self.metadata, timeout=20)

    async def get(self, one: facts_pb2.Identifier) -> profile_pb2.Profile:
        """Who it is, once everything is folded."""
        track = ingest_pb2.Event(
            type="site_visited", identifiers=[facts_pb2.Identifier(kind="external_id", value="nobody else")]
        )
        position = (await self.ingest.Track(ingest_pb2.TrackRequest(event=track), metadata=self.metadata)).position
        await self.profile.BatchGet(
            profile_pb2.BatchGetRequest(min_upstream_position=position), metadata=self.metadata, timeout=10
        )
        request = profile_pb2.GetRequest(identifier=one, timeline_size=1_000)
        return (await self.profile.Get(request, metadata=self.metadata, timeout=10)).profile

    async def erase(self, one: facts_pb2.Identifier, request_id: str = "") -> operations_pb2.Operation:
        """Forget somebody."""
        request = profile_pb2.EraseRequest(identifier=one, reason="asked by letter", request_id=request_id)
        return await self.profile.Erase(request, metadata=self.metadata, timeout=30)

    async def finished(self, name: str) -> profile_pb2.ErasureCertificate:
        """The certificate, once the operation is done."""
        certificate = profile_pb2.ErasureCertificate()

        async def is_done() -> bool:
            request = profile_pb2.GetErasureRequest(name=name)
            # After a restart nobody may own the workspace for a moment.
            operation = await again(lambda: self.profile.GetErasure(request, metadata=self.metadata, timeout=10))
            return bool(operation.done and operation.response.Unpack(certificate))

        await eventually(is_done, "the erasure is done", 60)
        return certificate

    async def export(self, one: facts_pb2.Identifier) -> list[dict[str, object]]:
        """Everything that is held of somebody."""
        raw = b""
        request = profile_pb2.ExportRequest(identifier=one)
        async for part in self.profile.Export(request, metadata=self.metadata, timeout=30):
            raw += part.lines
        return [json.loads(line) for line in raw.splitlines()]


@asynccontextmanager
async def open_shop(folder: Path, server: ValkeyServer | None, smtp_url: str) -> AsyncIterator[Shop]:
    log = None if server is None else await RedisLog.connect(server.url)
    extra = {"CDP_SMTP_URL": smtp_url, "CDP_TRACKING_KEY": "k" * 32}
    async with (
        Platform(folder, ManualClock(T), (ALL_ROLES,), extra, log) as platform,
        platform.channel(Role.INGEST) as channel,
    ):
        shop = Shop(platform, dict.fromkeys(ALL_ROLES, channel))
        settings = channel_pb2.Settings(live=True)
        setattr(settings, "from", "Shop <shop@example.com>")  # a keyword of Python is no argument
        update = channel_pb2.UpdateSettingsRequest(settings=settings)
        # The channel may not own the workspace yet.
        await again(lambda: shop.channel.UpdateSettings(update, metadata=platform.metadata))
        yield shop


def _ids(mark: str) -> tuple[facts_pb2.Identifier, facts_pb2.Identifier, facts_pb2.Identifier]:
    values = (("external_id", f"{mark}-user"), ("email", f"{mark}@example.com"), ("anonymous_id", f"{mark}-cookie"))
    first, second, third = (facts_pb2.Identifier(kind=kind, value=value) for kind, value in values)
    return first, second, third


def _phone(mark: str) -> str:
    return "+380671234567" if mark == MARK else "+380677654321"


def places_of(mark: str, *folders: Path) -> list[str]:
    """Files that hold `mark` anywhere, Parquet unpacked."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                raw = path.read_bytes() if path.is_file() else b""
                if path.suffix == ".parquet":
                    raw += str(pq.read_table(path).to_pydict()).encode()
            except FileNotFoundError:
                continue  # rewritten meanwhile
            if mark.encode() in raw:
                found.append(str(path))
    return found


def keys_with(mark: str, server: ValkeyServer) -> list[tuple[bytes, bytes]]:
    """Keys of the log server whose values hold `mark`, with the value."""
    found: list[tuple[bytes, bytes]] = []
    with server.client() as client:
        for key in client.scan_iter(count=1_000):
            kind = client.type(key)
            if kind == b"hash":
                rows = [name + b" = " + value for name, value in client.hgetall(key).items()]
            elif kind == b"stream":
                rows = [str(one).encode() for one in client.xrange(key)]
            else:
                rows = []
            found += [(key, row[:300]) for row in rows if mark.encode() in row]
    return found


async def test_no_byte_of_who_was_erased_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server = start_valkey(tmp_path / "server")
    with Mailbox() as mailbox:
        async with open_shop(tmp_path / "data", server, mailbox.url) as shop:
            await shop.everything_about(MARK)
            await shop.everything_about(OTHER)
            external, email, _ = _ids(MARK)
            lines = json.dumps(await shop.export(external))
            for field in ("value", "tag", "kid", "form", "proof", "event", "product", "property", "name", "message"):
                assert f"{MARK}-{field}" in lines, f"{field} is not in the export"
            assert OTHER not in lines
            assert places_of(MARK, tmp_path)

            operation = await shop.erase(external, "letter-1")
            assert (await shop.erase(external, "letter-1")).name == operation.name
            with pytest.raises(grpc.aio.AioRpcError) as gone:
                await shop.get(email)
            assert from_rpc(gone.value).reason == "NO_SUCH_CONTACT"
            certificate = await shop.finished(operation.name)
            counts = {one.where: one.count for one in certificate.removals}
            assert counts["profiles"] == 1
            assert counts["messages"] == 1
            assert counts["archive of ingest: events"] >= 5
            assert counts["append-only file: rewritten"] == 1
            assert certificate.reason == "asked by letter"

            async def nothing_is_left() -> bool:
                return not places_of(MARK, tmp_path)

            shop.platform.clock.advance(SECOND_US)
            try:
                await eventually(nothing_is_left, "no byte is left", 20)
            except AssertionError:
                raise AssertionError(f"left in {places_of(MARK, tmp_path)}: {keys_with(MARK, server)}") from None

            lines = json.dumps(await shop.export(_ids(OTHER)[0]))
            for field in ("value", "tag", "kid", "form", "proof", "event", "product", "property", "name", "message"):
                assert f"{OTHER}-{field}" in lines, f"{field} of the other is gone"
    server.stop()
    logged = capfd.readouterr()
    assert "people forgotten" in logged.out + logged.err
    assert MARK not in logged.out + logged.err


async def test_what_is_told_again_of_the_time_before_is_nobodys(tmp_path: Path) -> None:
    async with open_shop(tmp_path / "data", None, "smtp://127.0.0.1:1") as shop:
        external, email, _ = _ids(MARK)
        before_us = shop.platform.clock.now_us()
        await shop.identify(external, email)
        first = await shop.get(external)
        shop.platform.clock.advance(10 * SECOND_US)
        await shop.finished((await shop.erase(email)).name)

        shop.platform.clock.advance(10 * SECOND_US)
        await shop.identify(email, at_us=before_us)  # an old file is imported once more
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await shop.get(email)
        assert from_rpc(gone.value).reason == "NO_SUCH_CONTACT"
        letters = deadletter_pb2_grpc.DeadLetterServiceStub(shop.connection)
        listed = await letters.ListDeadLetters(deadletter_pb2.ListDeadLettersRequest(), metadata=shop.metadata)
        assert not listed.dead_letters, "what is told of the time before is not kept aside either"

        await shop.identify(email)
        again = await shop.get(email)
        assert again.contact > first.contact
        assert again.key != first.key
        assert [one.kind for one in again.identifiers] == ["email"]


async def test_a_state_of_before_forgets_them_again(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "server")
    external, email, _ = _ids(MARK)
    async with open_shop(tmp_path / "data", server, "smtp://127.0.0.1:1") as shop:
        await shop.identify(external, email)
        await shop.get(external)
    server.stop()
    shutil.copytree(tmp_path / "server", tmp_path / "backup")
    server.start()
    async with open_shop(tmp_path / "data", server, "smtp://127.0.0.1:1") as shop:
        await shop.finished((await shop.erase(external, "letter-2")).name)
    server.stop()
    shutil.rmtree(tmp_path / "server")
    shutil.move(tmp_path / "backup", tmp_path / "server")
    server.start()
    async with open_shop(tmp_path / "data", server, "smtp://127.0.0.1:1") as shop:

        async def is_gone() -> bool:
            try:
                await shop.get(external)
            except grpc.aio.AioRpcError as error:
                return from_rpc(error).reason == "NO_SUCH_CONTACT"
            return False

        await eventually(is_gone, "forgotten again", 30)
        certificate = await shop.finished("operations/erasures/letter-2")
        assert certificate.reason == "asked by letter"

        async def nothing_is_left() -> bool:
            return not places_of(MARK, tmp_path)

        await eventually(nothing_is_left, f"no byte is left, {places_of(MARK, tmp_path)}", 30)
    server.stop()


async def test_the_timeline_comes_out_of_the_archive(tmp_path: Path) -> None:
    """One person's erasure trims the log; others read on, and merges are taken back, from the archive."""
    async with open_shop(tmp_path / "data", None, "smtp://127.0.0.1:1") as shop:
        (x, e, c), (other, _, _) = _ids(OTHER), _ids(MARK)
        await shop.identify(e, city="Kyiv")
        early = await shop.get(e)
        await shop.identify(x, city="Lviv")
        for number in range(5):
            await shop.track(x, number)
            await shop.track(e, number + 10)
        await shop.identify(x, e)  # one person
        await shop.identify(other)
        whole = await shop.view(x)
        assert len([one for one in whole.timeline if one.WhichOneof("what") == "event"]) == 10
        assert {one.change.attribute.name for one in whole.timeline} >= {"city", "email", "external_id"}
        assert len(whole.parts) == 2
        assert len(whole.merges) == 1
        await shop.finished((await shop.erase(other)).name)
        assert (await shop.view(x)).timeline == whole.timeline
        request = profile_pb2.UnmergeRequest(survivor=whole.profile.key, merged=early.key, reason="two sisters")
        apart = await shop.profile.Unmerge(request, metadata=shop.metadata, timeout=20)
        assert apart.restored.key == early.key
        assert len([one for one in (await shop.view(e)).timeline if one.WhichOneof("what") == "event"]) == 5
        assert c.kind == "anonymous_id"


async def test_visitors_who_do_not_come_back_expire(tmp_path: Path) -> None:
    async with open_shop(tmp_path / "data", None, "smtp://127.0.0.1:1") as shop:
        _, email, cookie = _ids(MARK)
        _, _, other = _ids(OTHER)
        await shop.track(cookie, 1)
        await shop.track(other, 2)
        await shop.identify(email)
        stale = await shop.get(cookie)
        shop.platform.clock.advance(60 * DAY_US)
        await shop.track(other, 3)
        await shop.get(other)
        shop.platform.clock.advance(40 * DAY_US)
        service = shop.platform.host(Role.PROFILE_UNIFICATION).service(Role.PROFILE_UNIFICATION)
        assert isinstance(service, UnificationService)
        assert await service.shard("dev").expirer.sweep() == 1
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await shop.get(cookie)
        assert from_rpc(gone.value).reason == "NO_SUCH_CONTACT"
        await shop.get(other)
        await shop.get(email)
        await shop.track(cookie, 4)
        again = await shop.get(cookie)
        assert again.contact > stale.contact
        assert again.first_seen_at_us > stale.first_seen_at_us


async def test_an_erasure_waits_for_who_is_away_and_says_so(tmp_path: Path) -> None:
    others, channel_role = tuple(role for role in ALL_ROLES if role is not Role.CHANNEL), (Role.CHANNEL,)
    async with (
        Platform(tmp_path, ManualClock(T), (others, channel_role)) as platform,
        platform.channel(Role.INGEST) as channel,
    ):
        shop = Shop(platform, dict.fromkeys(ALL_ROLES, channel))
        external, email, cookie = _ids(MARK)
        await shop.identify(external, email, city=f"{MARK}-city")
        await shop.track(cookie, 1)
        await shop.get(external)
        await platform.stop(channel_role)
        seen = await shop.view(external)
        assert [one.what for one in seen.missing] == ["messages"]
        with pytest.raises(grpc.aio.AioRpcError) as not_whole:
            await shop.export(external)
        assert from_rpc(not_whole.value).reason == "EXPORT_NOT_WHOLE"

        for request, reason in (
            (profile_pb2.EraseRequest(identifier=external), "BAD_REASON"),
            (profile_pb2.EraseRequest(reason="x"), "NO_CONTACT_NAMED"),
            (profile_pb2.EraseRequest(key="nobody", reason="x"), "NO_SUCH_CONTACT"),
            (profile_pb2.EraseRequest(identifier=external, reason="x", request_id="y" * 101), "BAD_REQUEST_ID"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await shop.profile.Erase(request, metadata=shop.metadata, timeout=10)
            assert from_rpc(refused.value).reason == reason

        operation = await shop.erase(external)
        operations = operations_pb2_grpc.OperationsStub(channel)
        begun = profile_pb2.ErasureCertificate()
        waiting = await operations.GetOperation(
            operations_pb2.GetOperationRequest(name=operation.name), metadata=shop.metadata
        )
        assert not waiting.done
        assert waiting.metadata.Unpack(begun)
        assert begun.stage == profile_pb2.ERASURE_STAGE_REWRITING
        await platform.stop(others)  # in the midst of it
        await platform.start(channel_role)
        await platform.start(others)
        certificate = await shop.finished(operation.name)
        assert certificate.completed_at_us
        listed = await shop.profile.ListErasures(profile_pb2.ListErasuresRequest(), metadata=shop.metadata)
        assert [one.name for one in listed.operations] == [operation.name]
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await operations.GetOperation(
                operations_pb2.GetOperationRequest(name="operations/erasures/none"), metadata=shop.metadata
            )
        assert from_rpc(unknown.value).reason == "NO_SUCH_ERASURE"
