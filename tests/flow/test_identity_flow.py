"""Merges taken back, rules set and shared identifiers found, through the real door and over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import ManualClock
from core.events.columns import Identifier
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from tests.flow.platform import Platform, eventually

T = 1_700_000_000_000_000
ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.CHANNEL)
ELSEWHERE = {f"CDP_{name}_ADDRESS": "127.0.0.1:1" for name in ("SEGMENT", "SCENARIO")}

X, E, C = Identifier("external_id", "x"), Identifier("email", "e@example.com"), Identifier("anonymous_id", "c")
CARD = Identifier("loyalty_card", "4711")


class Shop:
    """A client of both services."""

    def __init__(self, platform: Platform, ingest: grpc.aio.Channel, profile: grpc.aio.Channel) -> None:
        self.ingest = ingest_pb2_grpc.IngestServiceStub(ingest)
        self.profile = profile_pb2_grpc.ProfileServiceStub(profile)
        self.metadata = platform.metadata
        self._platform = platform
        self._clock = platform.clock
        self._sent = 0

    def _next(self) -> tuple[str, int]:
        self._sent += 1
        return f"m{self._clock.now_us()}.{self._sent}", self._clock.now_us() - 10_000 + self._sent

    async def restart(self) -> None:
        """Stop all services and start them on the same log."""
        await self._platform.stop(ROLES)
        await self._platform.start(ROLES)
        await self._platform.host(Role.INGEST).wait_ready(20.0)

    async def track(self, *names: Identifier) -> int:
        """An event; its position."""
        message_id, at_us = self._next()
        event = ingest_pb2.Event(
            message_id=message_id, type="app_opened", occurred_at_us=at_us, identifiers=_ids(names)
        )
        answer = await self.ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=self.metadata)
        return int(answer.position)

    async def identify(self, *names: Identifier, city: str = "", consent: facts_pb2.ConsentChange | None = None) -> int:
        """Traits; their position."""
        message_id, at_us = self._next()
        person = ingest_pb2.Person(
            message_id=message_id,
            occurred_at_us=at_us,
            identifiers=_ids(names),
            attributes={"city": facts_pb2.Value(text=city)} if city else {},
            consents=[consent] if consent else [],
        )
        answer = await self.ingest.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=self.metadata)
        return int(answer.position)

    async def folded(self, position: int) -> None:
        """Return once it is folded."""
        request = profile_pb2.BatchGetRequest(min_upstream_position=position)
        await self.profile.BatchGet(request, metadata=self.metadata, timeout=10)

    async def get(self, one: Identifier) -> profile_pb2.GetResponse:
        """Whose it is, with the timeline."""
        request = profile_pb2.GetRequest(identifier=_ids((one,))[0])
        return await self.profile.Get(request, metadata=self.metadata, timeout=10)

    async def unmerge(self, survivor: str, merged: str, request_id: str = "") -> profile_pb2.UnmergeResponse:
        """Take a merge back."""
        request = profile_pb2.UnmergeRequest(
            survivor=survivor, merged=merged, reason="two sisters", request_id=request_id
        )
        return await self.profile.Unmerge(request, metadata=self.metadata, timeout=10)

    async def merges(self, key: str = "", size: int = 0, token: str = "") -> profile_pb2.ListMergesResponse:
        """The record."""
        request = profile_pb2.ListMergesRequest(key=key, page_size=size, page_token=token)
        return await self.profile.ListMerges(request, metadata=self.metadata, timeout=10)

    async def rules(self) -> facts_pb2.IdentityRules:
        """The rules."""
        answer = await self.profile.GetIdentityRules(profile_pb2.GetIdentityRulesRequest(), metadata=self.metadata)
        return answer.rules

    async def set_rules(self, rules: facts_pb2.IdentityRules, request_id: str = "") -> facts_pb2.IdentityRules:
        """Change them."""
        request = profile_pb2.UpdateIdentityRulesRequest(rules=rules, request_id=request_id)
        return (await self.profile.UpdateIdentityRules(request, metadata=self.metadata, timeout=10)).rules


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Shop]:
    async with (
        Platform(folder, ManualClock(T), (ROLES,), ELSEWHERE) as platform,
        platform.channel(Role.INGEST) as ingest,
        platform.channel(Role.PROFILE_UNIFICATION) as profile,
    ):
        yield Shop(platform, ingest, profile)


def _ids(names: tuple[Identifier, ...]) -> list[facts_pb2.Identifier]:
    return [facts_pb2.Identifier(kind=one.kind, value=one.value) for one in names]


async def _reason(call: Awaitable[object]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call
    return from_rpc(failure.value).reason


async def test_a_merge_is_taken_back_as_if_it_had_never_been(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.identify(X, city="Kyiv")
        await shop.track(E)
        await shop.identify(E, city="Lviv", consent=facts_pb2.ConsentChange(
            channel="email", state="granted", source="form", category="news", proof="paper 7"))  # fmt: skip
        await shop.folded(await shop.track(X, C))
        sister = (await shop.get(E)).profile
        await shop.folded(await shop.track(X, E))
        await shop.track(E)
        await shop.folded(await shop.track(C))
        both = await shop.get(X)
        assert len(both.timeline) == 5
        assert list(both.profile.merged_keys) == [sister.key]
        assert [one.value.text for one in both.profile.attributes if one.name == "city"] == ["Lviv"]
        [consent] = both.profile.consents
        assert (consent.channel, consent.category, consent.proof) == ("email", "news", "paper 7")

        answer = await shop.unmerge(both.profile.key, sister.key, "r1")
        assert (answer.survivor.key, answer.restored.key) == (both.profile.key, sister.key)
        mine, hers = await shop.get(X), await shop.get(E)
        assert (mine.profile, hers.profile) == (answer.survivor, answer.restored)
        assert (len(mine.timeline), len(hers.timeline)) == (3, 2)
        assert [one.value.text for one in mine.profile.attributes if one.name == "city"] == ["Kyiv"]
        assert [one.value.text for one in hers.profile.attributes if one.name == "city"] == ["Lviv"]
        assert (list(mine.profile.consents), list(hers.profile.consents)) == ([], [consent])
        assert hers.profile.first_seen_at_us == sister.first_seen_at_us

        again = await shop.unmerge(both.profile.key, sister.key, "r1")
        assert (again.survivor, again.restored) == (answer.survivor, answer.restored)
        await shop.folded(await shop.track(X, E))
        assert (await shop.get(E)).profile == answer.restored
        assert len((await shop.get(X)).timeline) == 4

        assert await _reason(shop.unmerge(both.profile.key, sister.key)) == "ALREADY_UNMERGED"
        assert await _reason(shop.unmerge(both.profile.key, "nobody")) == "NO_SUCH_CONTACT"
        assert await _reason(shop.unmerge(both.profile.key, "")) == "NO_CONTACT_NAMED"
        await shop.folded(await shop.track(Identifier("email", "third@example.com")))
        third = (await shop.get(Identifier("email", "third@example.com"))).profile
        assert await _reason(shop.unmerge(both.profile.key, third.key)) == "NOT_MERGED"
        assert await _reason(shop.unmerge(third.key, third.key)) == "NOT_MERGED"
        assert await _reason(shop.unmerge(third.key, third.key, "x" * 101)) == "BAD_REQUEST_ID"

        [record] = (await shop.merges(sister.key)).merges
        assert (record.survivor_key, record.loser_key, record.undone.reason) == (
            both.profile.key,
            sister.key,
            "two sisters",
        )
        assert [(one.kind, one.value) for one in record.evidence] == [("external_id", "x"), ("email", "e@example.com")]
        assert (record.undone.asked_by, record.undone.upstream_position) != ("", 0)


async def test_what_the_log_says_of_a_merge_taken_back(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await shop.identify(X, city="Kyiv")
        await shop.folded(await shop.identify(E, city="Lviv"))
        sister = (await shop.get(E)).profile
        await shop.track(X, E)
        await shop.folded(await shop.track(E))
        one = (await shop.get(X)).profile
        position = (await shop.unmerge(one.key, sister.key)).upstream_position
        await shop.restart()  # a timeline that is read back from the log
        assert len((await shop.get(E)).timeline) == 1
        stream = shop.profile.Subscribe(metadata=shop.metadata)
        await stream.write(profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(consumer="test")))
        batches: list[facts_pb2.FactBatch] = []
        while not batches or batches[-1].upstream_position < position:
            response = await stream.read()
            assert isinstance(response, profile_pb2.SubscribeResponse)
            if response.position:
                batches.append(response.batch)
        stream.cancel()
    parted = [batch for batch in batches if batch.parts]
    assert [int.from_bytes(batch.parts, "little") for batch in parted] == [2]
    facts = list(batches[-1].facts)
    assert [fact.WhichOneof("fact") for fact in facts] == [
        "unmerge",
        "state",
        "attribute",
        "attribute",
        "state",
        "attribute",
        "attribute",
    ]
    assert (facts[0].contact, facts[0].unmerge.restored, facts[0].unmerge.key) == (1, 2, sister.key)
    assert list(facts[0].unmerge.event_ids) == list(parted[0].events.ids)
    assert [(fact.contact, fact.attribute.name) for fact in facts if fact.HasField("attribute")] == [
        (1, "external_id"),
        (1, "city"),
        (2, "email"),
        (2, "city"),
    ]
    assert len({fact.item for fact in facts}) == 1


async def test_taken_apart_twice_and_over_a_restart(tmp_path: Path) -> None:
    mails = [Identifier("email", f"{n}@example.com") for n in range(4)]
    async with open_shop(tmp_path) as shop:
        for one in mails:
            await shop.folded(await shop.identify(one, city=one.value[0]))
        keys = [(await shop.get(one)).profile.key for one in mails]
        for left, right in ((0, 1), (1, 2), (2, 3)):
            await shop.folded(await shop.track(mails[left], mails[right]))
        assert [len((await shop.merges(size=2)).merges), len((await shop.merges()).merges)] == [2, 3]
        first = await shop.merges(size=2)
        rest = await shop.merges(size=2, token=first.next_page_token)
        assert [one.ordinal for one in (*first.merges, *rest.merges)] == [3, 2, 1]
        assert rest.next_page_token == ""
        await shop.unmerge(keys[0], keys[2])
        assert (await shop.get(mails[3])).profile.key == keys[2]
        assert (await shop.get(mails[1])).profile.key == keys[0]
        assert await _reason(shop.unmerge(keys[1], keys[0])) == "NOT_MERGED_AWAY"
        await shop.restart()
        await shop.unmerge(keys[2], keys[3])
        people = [(await shop.get(one)) for one in mails]
        assert [one.profile.key for one in people] == [keys[0], keys[0], keys[2], keys[3]]
        assert [len(one.timeline) for one in people] == [2, 2, 1, 0]
        cities = [[one.value.text for one in person.profile.attributes if one.name == "city"] for person in people]
        assert cities == [["1"], ["1"], ["2"], ["3"]]
        assert [len((await shop.merges(key)).merges) for key in keys] == [2, 2, 2, 2]


async def test_rules_about_identifiers(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        before = await shop.rules()
        assert [one.name for one in before.kinds] == [
            "external_id",
            "email",
            "phone",
            "messenger_id",
            "push_token",
            "anonymous_id",
        ]
        card = facts_pb2.IdentifierKind(name="loyalty_card", priority=2, limit=2, strong=True, known=True)
        mail = facts_pb2.IdentifierKind(name="email", priority=2, limit=1, strong=True, known=True)
        blocked = [
            facts_pb2.BlockedIdentifier(kind="email", value="Office@Example.com"),
            facts_pb2.BlockedIdentifier(kind="loyalty_card", pattern="^0+$"),
        ]
        rules = facts_pb2.IdentityRules(kinds=[card, mail], blocked=blocked, etag=before.etag)
        after = await shop.set_rules(rules, "r1")
        assert after.etag != before.etag
        assert await shop.set_rules(rules, "r1") == after  # the same request again
        assert await _reason(shop.set_rules(rules)) == "ETAG_MISMATCH"

        async def door_knows() -> bool:
            await shop.track(X)  # a call makes the door look
            call = shop.track(Identifier("email", "office@example.com"))
            try:
                await call
            except grpc.aio.AioRpcError as error:
                return from_rpc(error).reason == "NO_IDENTIFIER"
            return False

        await eventually(door_knows, "the door has the new rules")
        await shop.folded(await shop.track(CARD, X))
        assert (await shop.get(CARD)).profile.key == (await shop.get(X)).profile.key
        assert await _reason(shop.track(Identifier("loyalty_card", "000"))) == "NO_IDENTIFIER"
        assert await _reason(shop.track(Identifier("shoe_size", "42"))) == "NO_IDENTIFIER"
        await shop.track(X, E)
        await shop.folded(await shop.track(X, Identifier("email", "f@example.com")))
        assert [one.value for one in (await shop.get(X)).profile.identifiers if one.kind == "email"] == [E.value]
        answer = await shop.profile.ListSuspiciousIdentifiers(
            profile_pb2.ListSuspiciousIdentifiersRequest(), metadata=shop.metadata
        )
        [suspicious] = answer.identifiers
        assert (suspicious.identifier.value, suspicious.limits_hit, suspicious.block_proposed) == ("x", 1, False)
        await shop.restart()
        assert await shop.rules() == after
        assert (await shop.get(CARD)).profile.known
        # Lowering a limit tears nothing apart, and a disabled kind names nobody.
        off = facts_pb2.IdentifierKind(name="loyalty_card", priority=9, limit=1, strong=True, known=True, disabled=True)
        assert (await shop.set_rules(facts_pb2.IdentityRules(kinds=[off]))).moves_limit == 100
        assert CARD.value in [one.value for one in (await shop.get(X)).profile.identifiers]
        assert await _reason(shop.get(CARD)) == "NO_SUCH_CONTACT"


def _kind(name: str, priority: int = 1, limit: int = 1, strong: bool = False) -> facts_pb2.IdentifierKind:
    return facts_pb2.IdentifierKind(name=name, priority=priority, limit=limit, strong=strong, known=strong)


async def test_rules_that_are_not_sound(tmp_path: Path) -> None:
    blocked = facts_pb2.BlockedIdentifier
    unsound = [
        facts_pb2.IdentityRules(kinds=[_kind("Card")]),
        facts_pb2.IdentityRules(kinds=[_kind("contact_key")]),
        facts_pb2.IdentityRules(kinds=[_kind("email")]),  # strong and known would change
        facts_pb2.IdentityRules(kinds=[_kind("external_id", limit=2, strong=True)]),
        facts_pb2.IdentityRules(kinds=[_kind("card", priority=0)]),
        facts_pb2.IdentityRules(kinds=[_kind("card", limit=0)]),
        facts_pb2.IdentityRules(kinds=[_kind("card"), _kind("card")]),
        facts_pb2.IdentityRules(kinds=[_kind(f"card_{n}") for n in range(33)]),
        facts_pb2.IdentityRules(moves_limit=10_001),
        facts_pb2.IdentityRules(blocked=[blocked(kind="email")]),
        facts_pb2.IdentityRules(blocked=[blocked(kind="nothing", value="x")]),
        facts_pb2.IdentityRules(blocked=[blocked(pattern="(")]),
        facts_pb2.IdentityRules(blocked=[blocked(pattern="a" * 513)]),
        facts_pb2.IdentityRules(blocked=[blocked(pattern=f"a{n}") for n in range(51)]),
    ]
    async with open_shop(tmp_path) as shop:
        before = await shop.rules()
        assert [await _reason(shop.set_rules(rules)) for rules in unsound] == ["BAD_IDENTITY_RULES"] * len(unsound)
        assert await shop.rules() == before


async def test_a_cookie_that_everybody_uses_is_found(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        for n in range(150):
            position = await shop.track(Identifier("email", f"{n}@example.com"), C)
        await shop.folded(position)
        request = profile_pb2.ListSuspiciousIdentifiersRequest(page_size=5)
        answer = await shop.profile.ListSuspiciousIdentifiers(request, metadata=shop.metadata)
        [one] = answer.identifiers
        assert (one.identifier.value, one.moves, one.moves_refused, one.block_proposed) == ("c", 99, 50, True)
        assert not one.blocked
        assert answer.next_page_token == ""
