"""The way of an event, as a test: a shop's cart goes in over HTTP, and an email comes out over SMTP.

All roles, real gRPC, real SMTP, a memory log, a manual clock that jumps over hours and days. Both arrangements: one
process, and a host per role. At the end every edge of the README's table has carried calls.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client import REGISTRY

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.scenario.v1 import scenario_pb2, scenario_pb2_grpc
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from core.clock import DAY_US, HOUR_US, MINUTE_US, ManualClock
from services.runtime.roles import ALL_ROLES, Role
from services.scenario.convert import definition_to_proto
from tests.carts import abandoned_cart
from tests.flow.mailbox import Mailbox, Receiver
from tests.flow.platform import APART, TOGETHER, Platform, eventually

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000

#: A person's browser: what calls itself a program is taken for a scanner.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

#: What must have carried calls: the edges of the way of an event.
UNARY_EDGES = (
    "/cdp.segment.v1.SegmentService/Evaluate",
    "/cdp.channel.v1.ChannelService/Send",
    "/cdp.profile.v1.ProfileService/BatchGet",
    "/cdp.ingest.v1.IngestService/IngestBatch",
)
STREAM_EDGES = (
    "/cdp.ingest.v1.IngestService/Subscribe",
    "/cdp.profile.v1.ProfileService/Subscribe",
    "/cdp.segment.v1.SegmentService/Watch",
)


def calls() -> dict[str, float]:
    unary = {edge: REGISTRY.get_sample_value("cdp_rpc_seconds_count", {"method": edge}) or 0.0 for edge in UNARY_EDGES}
    streams = {
        edge: REGISTRY.get_sample_value("cdp_rpc_streams_total", {"method": edge}) or 0.0 for edge in STREAM_EDGES
    }
    return unary | streams


class Shop:
    """A client of the public API, as a shop would write it."""

    def __init__(self, platform: Platform, http: httpx2.AsyncClient) -> None:
        self.platform = platform
        self._http = http
        self._sent = 0

    async def call(self, kind: str, body: dict[str, object], headers: Mapping[str, str] | None = None) -> None:
        """A Segment-spec call over HTTP."""
        self._sent += 1
        now = datetime.fromtimestamp(self.platform.clock.now_us() / 1e6, UTC).isoformat()
        body = {"messageId": f"shop-{self._sent}", "timestamp": now, "sentAt": now, **body}
        authorization = "Basic " + b64encode(f"{self.platform.key}:".encode()).decode()
        answer = await self._http.post(
            f"{self.platform.http_url(Role.INGEST)}/v1/{kind}",
            json=body,
            headers={"Authorization": authorization, **(headers or {})},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["success"] is True, answer.text

    async def identify(self, user: str, email: str) -> None:
        """A customer signs up and agrees to email and to the second channel."""
        async with self.platform.channel(Role.INGEST) as channel:
            stub = ingest_pb2_grpc.IngestServiceStub(channel)
            person = ingest_pb2.Person(
                identifiers=[
                    facts_pb2.Identifier(kind="external_id", value=user),
                    facts_pb2.Identifier(kind="email", value=email),
                ],
                attributes={"gender": facts_pb2.Value(text="female")},
                consents=[
                    facts_pb2.ConsentChange(channel="email", state="granted", source="sign-up"),
                    facts_pb2.ConsentChange(channel="webhook", state="granted", source="sign-up"),
                ],
            )
            await stub.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=self.platform.metadata)

    async def fill_cart(self, user: str, cart: str) -> None:
        products = [{"product_id": "p1", "name": "Stroller", "category": "strollers", "price": 59.9, "quantity": 1}]
        await self.call(
            "track",
            {"userId": user, "event": "Cart Updated", "properties": {"cart_id": cart, "products": products}},
        )

    async def buy(self, user: str, cart: str, order: str) -> None:
        await self.call(
            "track",
            {
                "userId": user,
                "event": "Order Completed",
                "properties": {"order_id": order, "cart_id": cart, "total": 59.9, "products": []},
            },
        )


async def set_up(platform: Platform, receiver: Receiver) -> None:
    metadata = platform.metadata
    async with platform.channel(Role.CHANNEL) as channel:
        stub = channel_pb2_grpc.ChannelServiceStub(channel)
        templates = {
            "abandoned_cart": channel_pb2.Template(
                channel="email",
                subject="You left something behind",
                body_html="<p>{% for item in items %}{{ item.name }}: {{ item.price }}{% endfor %}</p>"
                '<p><a href="https://shop.example/cart">Back to the cart</a></p>',
                body_text="{% for item in items %}{{ item.name }}{% endfor %} {{ unsubscribe_url }}",
            ),
            "abandoned_cart_push": channel_pb2.Template(channel="webhook", body_text='{"push": "still there"}'),
            "abandoned_cart_offer": channel_pb2.Template(channel="webhook", body_text='{"offer": "10 %"}'),
        }
        for name, template in templates.items():
            await stub.SaveTemplate(channel_pb2.SaveTemplateRequest(name=name, template=template), metadata=metadata)
        settings = channel_pb2.Settings(
            live=True,
            webhook_url=receiver.url,
            webhook_secret="hush",
            allowed_private_hosts=["127.0.0.1"],
        )
        setattr(settings, "from", "Shop <shop@shop.example>")  # a keyword of Python is no argument
        await stub.UpdateSettings(channel_pb2.UpdateSettingsRequest(settings=settings), metadata=metadata)
    async with platform.channel(Role.SEGMENT_ENGINE) as channel:
        segments = segment_pb2_grpc.SegmentServiceStub(channel)
        for name, text in {
            "Women": 'gender = "female"',
            "Cart in the last hour": "did cart_updated in last 1 hours",
        }.items():
            await segments.SaveSegment(
                segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text)), metadata=metadata
            )
    async with platform.channel(Role.SCENARIO) as channel:
        scenarios = scenario_pb2_grpc.ScenarioServiceStub(channel)
        await scenarios.SaveScenario(
            scenario_pb2.SaveScenarioRequest(name="N3", scenario=definition_to_proto(abandoned_cart())),
            metadata=metadata,
        )


async def runs_of(platform: Platform) -> list[scenario_pb2.Run]:
    async with platform.channel(Role.SCENARIO) as channel:
        stub = scenario_pb2_grpc.ScenarioServiceStub(channel)
        answer = await stub.ListRuns(scenario_pb2.ListRunsRequest(), metadata=platform.metadata)
        return list(answer.runs)


async def wait_for_state(platform: Platform, block: str, state: str, count: int = 1) -> None:
    async def holds() -> bool:
        return sum(run.block == block and run.state == state for run in await runs_of(platform)) == count

    await eventually(holds, f"{count} run(s) at {block!r} in state {state!r}")


async def count_of(platform: Platform, name: str) -> int:
    async with platform.channel(Role.SEGMENT_ENGINE) as channel:
        stub = segment_pb2_grpc.SegmentServiceStub(channel)
        answer = await stub.Count(segment_pb2.CountRequest(name=name), metadata=platform.metadata)
        return int(answer.count.total)


@pytest.mark.slow
@pytest.mark.parametrize("arrangement", [TOGETHER, APART], ids=["one process", "a host per role"])
async def test_a_cart_becomes_an_email_and_every_edge_carries_calls(
    tmp_path: Path, arrangement: tuple[tuple[Role, ...], ...]
) -> None:
    before = calls()
    clock = ManualClock(START_US)
    with Mailbox() as mailbox, Receiver() as receiver:
        async with (
            Platform(tmp_path, clock, arrangement, {"CDP_SMTP_URL": mailbox.url}) as platform,
            httpx2.AsyncClient() as http,
        ):
            shop = Shop(platform, http)
            await set_up(platform, receiver)
            await shop.identify("u1", "Ann@Example.com")
            await shop.fill_cart("u1", "c1")
            await wait_for_state(platform, "wait_for_purchase", "waiting")

            # The segments know her, and forget the cart at the exact end of its window.
            assert await count_of(platform, "Women") == 1
            assert await count_of(platform, "Cart in the last hour") == 1
            clock.advance(HOUR_US)

            async def left() -> bool:
                return await count_of(platform, "Cart in the last hour") == 0

            await eventually(left, "the cart leaves the window")
            await check_the_exit(platform)

            # +2 h: the email with the cart.
            clock.advance(HOUR_US + MINUTE_US)
            await wait_for_state(platform, "wait_for_open", "waiting")

            async def mailed() -> bool:
                return len(mailbox.letters) == 1

            await eventually(mailed, "the email arrives")
            letter = mailbox.letters[0]
            assert letter["To"] == "ann@example.com"
            html = letter.get_body(("html",))
            assert html is not None
            page = html.get_content()
            assert "Stroller: 59.9" in page
            assert "https://shop.example/cart" not in page, "links must be signed and counted"

            # Not opened within a day: the second channel.
            clock.advance(DAY_US + MINUTE_US)

            async def pushed() -> bool:
                return [body for _, body in receiver.hits] == [{"push": "still there"}]

            await eventually(pushed, "the second channel is used")

            # She clicks: known on the site without a login, and the click counts as an open.
            link = re.search(r'href="([^"]+/c/[^"]+)"', page)
            assert link is not None
            clicked = await http.get(link.group(1), headers={"User-Agent": BROWSER}, follow_redirects=False)
            assert clicked.status_code == 302
            assert clicked.headers["location"] == "https://shop.example/cart"
            assert "cdp_aid" in clicked.cookies
            cookie = {"Cookie": f"cdp_aid={clicked.cookies['cdp_aid']}"}
            await shop.call("page", {"anonymousId": "a fresh browser", "name": "Cart"}, cookie)
            await check_the_timeline(platform, {"message_sent", "message_clicked", "cart_updated", "page_viewed"})

            # She buys that cart: the run ends, and no offer is sent.
            await shop.buy("u1", "c1", "o1")

            async def ended() -> bool:
                return [run.state for run in await runs_of(platform)] == ["ended"]

            await eventually(ended, "the purchase ends the run")
            clock.advance(10 * DAY_US)
            await shop.fill_cart("u1", "c2")
            await wait_for_state(platform, "wait_for_purchase", "waiting")
            assert len(mailbox.letters) == 1
            assert len(receiver.hits) == 1
    after = calls()
    silent = [edge for edge in after if after[edge] <= before[edge]]
    assert silent == []


async def check_the_exit(platform: Platform) -> None:
    """The record of leaving says time, at the cart's instant plus one hour, to the microsecond."""
    async with platform.channel(Role.SEGMENT_ENGINE) as channel:
        stub = segment_pb2_grpc.SegmentServiceStub(channel)
        found: list[segment_pb2.Membership] = []
        async for response in stub.Watch(
            segment_pb2.WatchRequest(segment="Cart in the last hour"), metadata=platform.metadata
        ):
            found += response.memberships
            if len(found) == 2:
                break
        entered, left = found
        assert (entered.change, entered.cause) == (segment_pb2.CHANGE_ENTERED, segment_pb2.CAUSE_EVENT)
        assert (left.change, left.cause) == (segment_pb2.CHANGE_LEFT, segment_pb2.CAUSE_TIME)
        assert left.effective_at_us == left.recorded_at_us == entered.effective_at_us + HOUR_US


async def check_the_timeline(platform: Platform, wanted: set[str]) -> None:
    async with platform.channel(Role.PROFILE_UNIFICATION) as channel:
        stub = profile_pb2_grpc.ProfileServiceStub(channel)
        request = profile_pb2.GetRequest(identifier=facts_pb2.Identifier(kind="email", value="ann@example.com"))

        async def told() -> bool:
            answer = await stub.Get(request, metadata=platform.metadata)
            return wanted <= {event.type for event in answer.timeline}

        await eventually(told, f"the timeline tells {wanted}")
        profile = (await stub.Get(request, metadata=platform.metadata)).profile
        assert profile.known
        assert {identifier.kind for identifier in profile.identifiers} >= {"external_id", "email", "anonymous_id"}


@pytest.mark.slow
@pytest.mark.parametrize("role", ALL_ROLES)
async def test_each_role_may_stop_and_start_in_the_middle(tmp_path: Path, role: Role) -> None:
    clock = ManualClock(START_US)
    with Mailbox() as mailbox, Receiver() as receiver:
        async with (
            Platform(tmp_path, clock, APART, {"CDP_SMTP_URL": mailbox.url}) as platform,
            httpx2.AsyncClient() as http,
        ):
            shop = Shop(platform, http)
            await set_up(platform, receiver)
            await shop.identify("u1", "ann@example.com")
            await shop.fill_cart("u1", "c1")
            await wait_for_state(platform, "wait_for_purchase", "waiting")
            await platform.stop((role,))
            clock.advance(2 * HOUR_US + MINUTE_US)
            await platform.start((role,))
            await platform.host(role).wait_ready(20.0)

            async def mailed() -> bool:
                return len(mailbox.letters) == 1

            await eventually(mailed, f"the email arrives although {role} was away")
            await wait_for_state(platform, "wait_for_open", "waiting")
            assert urlsplit(platform.http_url(Role.CHANNEL)).port is not None
            assert len(mailbox.letters) == 1
