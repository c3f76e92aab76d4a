"""Facts in, profiles out: unification in its host, over gRPC."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.delivery.links import sign
from core.events.columns import Event, Identifier
from core.schema import DecimalUnits
from services.profile_unification.tables import DEAD_LETTERS, read_dead_letter
from services.profile_unification.timeline_store import TIMELINE
from services.runtime.errors import from_rpc
from tests.flow.unification_house import OWN, TRACKING_KEY, UPSTREAM, WORKSPACE, facts_of, open_house, payload_of
from tests.unit.profile.people import C, D, E, T, X, event, product, update


async def test_a_visitor_becomes_a_person(tmp_path: Path) -> None:
    order = Event("order:1:completed", "order_completed", T + 3, T, (E,), {"total": DecimalUnits(99)}, ({"sku": "s"},))
    async with open_house(tmp_path) as house:
        await house.accept(event("a", T, C), event("b", T + 1, C), product("p", "1", {"price": 5}))
        await house.accept(
            update(
                "u", T + 2, X, E, C, attributes={"city": "Kyiv"}, consents={"email": "granted"}, lists={"vip": True}
            ),
            order,
        )
        await house.folded(await house.accept(event("c", T - 9, D), event("d", T + 4, D, E)))
        answer = await house.profile(E, timeline_size=2)
        profile = answer.profile
        assert (profile.contact, profile.known, profile.reachable, list(profile.lists)) == (1, True, 1, ["vip"])
        assert profile.first_seen_at_us == T - 9
        assert [(one.name, one.value.text) for one in profile.attributes] == [
            ("city", "Kyiv"),
            ("email", "e@example.com"),
            ("external_id", "x"),
        ]
        assert [(one.channel, one.state, one.source) for one in profile.consents] == [("email", "granted", "form")]
        assert [(one.kind, one.value) for one in profile.identifiers] == [
            ("anonymous_id", "c"),
            ("anonymous_id", "d"),
            ("email", "e@example.com"),
            ("external_id", "x"),
        ]
        assert [one.id for one in answer.timeline] == ["d", "order:1:completed"]
        assert answer.timeline[1].params["total"].decimal_units == 99
        assert answer.timeline[1].items[0].fields["sku"].text == "s"
        rest = await house.profiles().Get(
            profile_pb2.GetRequest(key=profile.key, timeline_page_token=answer.next_timeline_page_token),
            metadata=house.metadata,
        )
        assert [one.id for one in rest.timeline] == ["b", "a", "c"]
        assert rest.next_timeline_page_token == ""
        loser = await house.profiles().Get(profile_pb2.GetRequest(contact=2), metadata=house.metadata)
        assert loser.profile == profile
        assert [(position, batch.upstream_position) for position, batch in await facts_of(house.log)] == [
            (1, 1),
            (2, 2),
            (3, 3),
        ]


async def test_batch_get_resolve_and_links(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.accept(update("u", T, X), event("a", T, C))
        await house.folded(await house.accept(event("b", T, X, C)))
        answer = await house.profiles().BatchGet(
            profile_pb2.BatchGetRequest(contacts=[2, 1, 9, 1]), metadata=house.metadata
        )
        assert [(one.contact, bool(one.key)) for one in answer.profiles] == [
            (0, False),
            (1, True),
            (0, False),
            (1, True),
        ]
        key = answer.profiles[1].key
        assert len(answer.profiles[1].merged_keys) == 1
        asked = [("external_id", "x"), ("email", "nobody@example.com"), ("anonymous_id", "c"), ("contact_key", key)]
        found = await house.profiles().Resolve(
            profile_pb2.ResolveRequest(identifiers=[facts_pb2.Identifier(kind=k, value=v) for k, v in asked]),
            metadata=house.metadata,
        )
        assert [(one.found, one.contact, one.key) for one in found.results] == [
            (True, 1, key),
            (False, 0, ""),
            (True, 1, key),
            (True, 1, key),
        ]
        token = sign(TRACKING_KEY.encode(), WORKSPACE, "m1", 2, 0)
        link = await house.profiles().ResolveLink(profile_pb2.ResolveLinkRequest(token=token), metadata=house.metadata)
        assert (link.contact, link.key, link.message_id) == (1, key, "m1")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (profile_pb2.GetRequest(contact=7), "NO_SUCH_CONTACT"),
        (profile_pb2.GetRequest(key="0123456789abcdef"), "NO_SUCH_CONTACT"),
        (profile_pb2.GetRequest(identifier=facts_pb2.Identifier(kind="email", value="null")), "NO_SUCH_CONTACT"),
        (profile_pb2.GetRequest(), "NO_CONTACT_NAMED"),
        (profile_pb2.GetRequest(contact=1, timeline_size=1001), "BAD_TIMELINE_SIZE"),
        (profile_pb2.GetRequest(contact=1, timeline_page_token="@"), "BAD_PAGE_TOKEN"),
    ],
)
async def test_refusals(tmp_path: Path, request_: profile_pb2.GetRequest, reason: str) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await house.profiles().Get(request_, metadata=house.metadata)
        assert from_rpc(failure.value).reason == reason


async def test_a_position_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await house.profiles().BatchGet(
                profile_pb2.BatchGetRequest(min_upstream_position=5), metadata=house.metadata, timeout=0.2
            )
        assert failure.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_a_poison_entry_is_set_aside_and_its_neighbours_are_applied(tmp_path: Path) -> None:
    poison = facts_pb2.AcceptedBatch(
        events=facts_pb2.EventColumns(ids=["bad"], types=b"\1\0\0\0", item_offsets=b"\0" * 8)
    ).SerializeToString()
    async with open_house(tmp_path) as house:
        await house.accept(update("u", T, X, E))
        await house.log.append(UPSTREAM, [poison], T)
        nobody = Identifier("external_id", "null")
        await house.folded(await house.accept(event("n", T, nobody), event("a", T, E)))
        assert [one.id for one in (await house.profile(X, timeline_size=9)).timeline] == ["a"]
        letters = [read_dead_letter(row) async for _, row in house.log.scan(OWN, DEAD_LETTERS)]
        told = sorted((header["position"], header["reason"], header["tries"], body) for header, body in letters)
        assert told == [(2, "BAD_COLUMNS", 3, poison), (3, "NO_IDENTIFIER", 1, payload_of([event("n", T, nobody)]))]
        assert [batch.upstream_position for _, batch in await facts_of(house.log)] == [1, 2, 3]


async def test_a_long_timeline_is_kept_in_chunks_over_restarts(tmp_path: Path) -> None:
    who = [X if n % 4 == 0 else Identifier("anonymous_id", f"v{n}") for n in range(1500)]
    async with open_house(tmp_path) as house:
        for start in range(0, 36_000, 4_000):
            numbers = range(start, start + 4_000)
            position = await house.accept(*(event(f"m{n}", T + n, who[n % len(who)]) for n in numbers))
        await house.folded(position)
        log = house.log
        for restarted in (False, True):
            if restarted:
                async with open_house(tmp_path, log) as again:
                    answer = await again.profile(X, timeline_size=1000)
            else:
                answer = await house.profile(X, timeline_size=1000)
            assert [one.id for one in answer.timeline] == [f"m{n}" for n in range(35_996, 31_996, -4)]
            assert answer.profile.first_seen_at_us == T
            if not restarted:
                await house.host.stop()
        assert any([len(key) == 8 async for key, _ in log.scan(OWN, TIMELINE)])


async def test_subscribe_serves_what_was_decided(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.folded(await house.accept(event("a", T, C)))
        call = house.profiles().Subscribe(metadata=house.metadata)
        await call.write(profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(consumer="test")))
        seen = []
        for _ in range(2):
            response = await call.read()
            assert isinstance(response, profile_pb2.SubscribeResponse)
            seen.append((response.position, response.last_position, list(response.batch.events.ids)))
        assert seen == [(0, 1, []), (1, 1, ["a"])]
        call.cancel()
