"""Facts dated ahead, through the real door: the profile shows what is in force, and a consent is given at its time."""

from __future__ import annotations

from pathlib import Path

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import ManualClock
from services.runtime.roles import Role
from tests.flow.platform import Platform

T = 1_700_000_000_000_000
DAY_US = 86_400_000_000
ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.CHANNEL)
ELSEWHERE = {f"CDP_{name}_ADDRESS": "127.0.0.1:1" for name in ("SEGMENT", "SCENARIO")}
ANN = facts_pb2.Identifier(kind="email", value="ann@example.com")


class _Shop:
    """A client of the door and of profiles."""

    def __init__(self, platform: Platform) -> None:
        stubs = platform.host(Role.INGEST).runtime.stubs
        self._ingest, self._profile = stubs.ingest(), stubs.profile()
        self._metadata = platform.metadata
        self._sent = 0

    async def tell(self, at_us: int, city: str = "", on: str = "", **consents: str) -> ingest_pb2.ItemResult:
        """One person in a batch; what became of it, once it is folded."""
        self._sent += 1
        person = ingest_pb2.Person(
            message_id=f"m{self._sent}",
            occurred_at_us=at_us,
            identifiers=[ANN],
            attributes={"city": facts_pb2.Value(text=city)} if city else {},
            consents=[facts_pb2.ConsentChange(channel=name, state=state) for name, state in consents.items()],
            lists=[facts_pb2.ListMove(list=on, member=True)] if on else [],
        )
        request = ingest_pb2.IngestBatchRequest(items=[ingest_pb2.BatchItem(person=person)])
        answer = await self._ingest.IngestBatch(request, metadata=self._metadata, timeout=10)
        folded = profile_pb2.BatchGetRequest(min_upstream_position=answer.position)
        await self._profile.BatchGet(folded, metadata=self._metadata, timeout=10)
        return answer.results[0]

    async def shown(self) -> tuple[str, list[str], dict[str, str]]:
        """City, lists and consents: by every call the same."""
        got = await self._profile.Get(profile_pb2.GetRequest(identifier=ANN), metadata=self._metadata, timeout=10)
        batch = profile_pb2.BatchGetRequest(contacts=[got.profile.contact])
        many = await self._profile.BatchGet(batch, metadata=self._metadata, timeout=10)
        view = await self._profile.View(profile_pb2.ViewRequest(identifier=ANN), metadata=self._metadata, timeout=10)
        assert got.profile == many.profiles[0] == view.profile
        city = "".join(one.value.text for one in got.profile.attributes if one.name == "city")
        return city, list(got.profile.lists), {one.channel: one.state for one in got.profile.consents}


async def test_what_is_dated_ahead_waits_in_every_view(tmp_path: Path) -> None:
    clock = ManualClock(T)
    async with Platform(tmp_path, clock, (ROLES,), ELSEWHERE) as platform:
        shop = _Shop(platform)
        await shop.tell(T - DAY_US, city="Kyiv")
        result = await shop.tell(T + 100 * 365 * DAY_US, city="Mars")
        assert (result.reason, [note.path for note in result.violations]) == ("", ["person.occurred_at_us"])
        assert "wait" in result.violations[0].description
        await shop.tell(T + DAY_US, city="Odesa", on="vip")
        assert await shop.shown() == ("Kyiv", [], {})
        await shop.tell(T, city="Lviv")
        assert await shop.shown() == ("Lviv", [], {})
        clock.advance(DAY_US)  # nothing more was told of her
        assert await shop.shown() == ("Odesa", ["vip"], {})
        await shop.tell(T + DAY_US - 1, city="Poltava")
        assert await shop.shown() == ("Odesa", ["vip"], {})


async def test_nobody_consents_ahead_of_time_and_a_refusal_counts_at_once(tmp_path: Path) -> None:
    async with Platform(tmp_path, ManualClock(T), (ROLES,), ELSEWHERE) as platform:
        shop = _Shop(platform)
        await shop.tell(T - DAY_US, email="granted", sms="denied")
        refused = await shop.tell(T + DAY_US, sms="granted", city="Kyiv")
        assert refused.reason == "CONSENT_AHEAD"
        assert [(one.path, "ahead of time" in one.description) for one in refused.violations] == [
            ("person.consents[0]", True)
        ]
        assert await shop.shown() == ("", [], {"email": "granted", "sms": "denied"})
        heard = await shop.tell(T + DAY_US, email="denied")
        assert (heard.reason, ["at once" in note.description for note in heard.violations]) == ("", [True])
        assert await shop.shown() == ("", [], {"email": "denied", "sms": "denied"})
        await shop.tell(T + 30_000_000, sms="granted")  # a clock that is half a minute fast
        assert (await shop.shown())[2] == {"email": "denied", "sms": "granted"}
