"""What a platform holds, read through its public API, in a form that two runs of the same input share.

Contact numbers and keys follow the order in which calls arrived, so people go by name here: by their identifiers. Of
events only those count that the client sent; what the channel told about its messages is compared by itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cdp.profile.v1 import profile_pb2
from core.events.facts import ContactFact, ContactState, FactBatch, Merge, ProductState
from core.index.contact_set import ContactSet
from core.index.digest import digest
from core.index.index import Index
from core.index.root import Root
from services.demo.client import CALL_S, Client, again
from services.runtime.facts import fact_batch_from_proto

_PAGE = 1_000


@dataclass(slots=True)
class LogCopy:
    """Unification's log as its stream tells it; `upstream` is the position of ingest's log that it includes."""

    client: Client
    batches: list[FactBatch] = field(default_factory=list)
    upstream: int = 0
    position: int = 0

    async def catch_up(self) -> None:
        """Read what is new, through the end that the stream names when it is opened."""
        await again(self._read)

    async def _read(self) -> None:
        acknowledged: asyncio.Queue[int] = asyncio.Queue()

        async def requests() -> AsyncIterator[profile_pb2.SubscribeRequest]:
            yield profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(after_position=self.position))
            while True:
                yield profile_pb2.SubscribeRequest(acknowledged_position=await acknowledged.get())

        stream: Any = self.client.profile.Subscribe(requests(), metadata=self.client.metadata, timeout=CALL_S)
        try:
            end = (await stream.read()).last_position  # the greeting
            while self.position < end:
                response = await stream.read()
                assert response.position == self.position + 1, "the log has a gap"
                self.batches.append(fact_batch_from_proto(response.batch, response.position, response.recorded_at_us))
                self.position = response.position
                self.upstream = response.batch.upstream_position
                acknowledged.put_nowait(self.position)
        finally:
            stream.cancel()

    def ids(self) -> Counter[str]:
        """How often each event stands in it."""
        return Counter(event_id for batch in self.batches for event_id in batch.events.ids)

    def contacts(self) -> int:
        """One more than the highest number of a contact."""
        numbers = [fact.contact for batch in self.batches for fact in batch.facts if isinstance(fact, ContactState)]
        return max(numbers, default=-1) + 1

    def index(self, names: Mapping[int, str] | None = None, of: Collection[str] | None = None) -> Root:
        """A fresh fold, from the first entry on: contacts under `names` (None: their keys), and of the events only
        `of` (None: all)."""
        index = Index()
        for batch in self.batches:
            events = batch.events
            if of is not None:
                events = events.take(np.flatnonzero([event_id in of for event_id in events.ids]))
            facts = batch.facts if names is None else [_comparable(fact, names) for fact in batch.facts]
            index.apply(events, facts, batch.position)
        return index.root()


def _comparable(fact: ContactFact, names: Mapping[int, str]) -> ContactFact:
    """The fact as it is in every run: contacts by name; products, which are dated by their reception, without date."""
    if isinstance(fact, ContactState):
        return replace(fact, key=names[fact.contact])
    return replace(fact, occurred_at_us=0) if isinstance(fact, ProductState) else fact


@dataclass(frozen=True, slots=True)
class Held:
    """Profiles by name without what numbers them, the digest of all facts the client sent, and who is who."""

    names: Mapping[int, str]
    profiles: Mapping[str, str]
    facts: str

    def people(self, members: Collection[int]) -> frozenset[str]:
        """Contact numbers as names."""
        return frozenset(self.names[member] for member in members)


async def held(log: LogCopy, sent: Collection[str]) -> Held:
    """What `log` says, and what the profiles say, of the events that the client `sent`."""
    profiles = await profiles_of(log.client, log.contacts())
    names = names_of(profiles, log)
    shown = {names[one.contact]: _plain(one) for one in profiles}
    return Held(names, shown, digest(log.index(names, frozenset(sent))))


async def profiles_of(client: Client, contacts: int) -> list[profile_pb2.Profile]:
    """Everybody who is not part of somebody else, by contact number."""
    found: list[profile_pb2.Profile] = []
    for start in range(0, contacts, _PAGE):
        request = profile_pb2.BatchGetRequest(contacts=range(start, min(start + _PAGE, contacts)))
        answer = await again(lambda: client.profile.BatchGet(request, metadata=client.metadata, timeout=CALL_S))  # noqa: B023
        found += [profile for profile in answer.profiles if profile.key]
    return found


def names_of(profiles: Collection[profile_pb2.Profile], log: LogCopy) -> dict[int, str]:
    """A name for every number: the identifiers; for one that was merged away, whose part it is and which."""
    names = {one.contact: " ".join(sorted(f"{i.kind}={i.value}" for i in one.identifiers)) for one in profiles}
    merges = [fact for batch in log.batches for fact in batch.facts if isinstance(fact, Merge)]
    parts = Counter[str]()
    for merge in reversed(merges):  # the last one's survivor has a name, the others follow from it
        survivor = names[merge.survivor]
        parts[survivor] += 1
        names[merge.loser] = f"{survivor} part {parts[survivor]}"
    assert len(set(names.values())) == len(names), "two contacts have the same identifiers"
    return names


def numbers_of(roaring: bytes) -> frozenset[int]:
    """The members in a block of an answer."""
    return frozenset(ContactSet.deserialize(roaring).numbers().tolist())


def _plain(profile: profile_pb2.Profile) -> str:
    plain = profile_pb2.Profile()
    plain.CopyFrom(profile)
    for name in ("contact", "key", "merged_keys"):
        plain.ClearField(name)
    identifiers = sorted(plain.identifiers, key=lambda one: (one.kind, one.value))
    plain.ClearField("identifiers")
    plain.identifiers.extend(identifiers)
    return str(plain)
