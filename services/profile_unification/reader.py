"""Reading profiles: by contact, key or identifier, always what is durable, always through merges."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import not_found
from core.eventlog.protocol import EventLog, Partition
from core.events.columns import Identifier
from core.identity.links import contact_of, holder_at, part_of
from core.identity.normalise import normalised
from core.identity.rules import CONTACT_KEY, IdentityRules
from core.profile.codec import decode_profile
from core.profile.profile import Profile
from services.profile_unification.tables import PROFILES, contact_key, load_links


class ProfileReader:
    """Reads one workspace's profiles out of the state tables."""

    def __init__(self, log: EventLog, partition: Partition, rules: IdentityRules) -> None:
        self._log = log
        self._partition = partition
        self._rules = rules

    async def holders(self, identifiers: Sequence[Identifier], at_us: int) -> list[int | None]:
        """The contact that each identifier leads to at `at_us`, in order; None: nobody's, or no usable identifier."""
        usable = [normalised(one, self._rules) for one in identifiers]
        asked = tuple(dict.fromkeys(one for one in usable if one is not None))
        links = (
            dict(zip(asked, await load_links(self._log, self._partition, asked, self._rules.kinds), strict=True))
            if asked
            else {}
        )
        found: list[int | None] = []
        for one in usable:
            link = None if one is None else links[one]
            found.append(None if link is None else contact_of(holder_at(link, at_us)))
        return found

    async def as_they_are(self, contacts: Sequence[int]) -> list[Profile | None]:
        """The profiles under these very numbers, of merged-away ones where they went; None: there never was one."""
        rows = await self._log.get(self._partition, PROFILES, [contact_key(contact) for contact in contacts])
        return [None if row is None else decode_profile(row) for row in rows]

    async def current(self, contacts: Sequence[int]) -> list[Profile | None]:
        """The profiles that these numbers are part of now."""
        found = await self.as_they_are(contacts)
        while moved := {
            profile.merged_into for profile in found if profile is not None and profile.merged_into is not None
        }:
            targets = sorted(moved)
            into = dict(zip(targets, await self.as_they_are(targets), strict=True))
            found = [
                profile if profile is None or profile.merged_into is None else into[profile.merged_into]
                for profile in found
            ]
        return found

    async def one(self, contact: int | None) -> Profile:
        """The current profile of a contact. Raises NOT_FOUND / NO_SUCH_CONTACT."""
        profile = None if contact is None else (await self.current([contact]))[0]
        if profile is None:
            raise not_found("NO_SUCH_CONTACT", "there is no such contact in this workspace")
        return profile

    async def by_key(self, key: str, at_us: int) -> Profile:
        """The current profile that had or has the public id `key`. Raises NOT_FOUND / NO_SUCH_CONTACT."""
        return await self.by_identifier(Identifier(CONTACT_KEY, key), at_us)

    async def part_by_key(self, key: str) -> tuple[Profile, int]:
        """The current profile that had or has the public id `key`, and the part of it that has. Raises NOT_FOUND /
        NO_SUCH_CONTACT."""
        one = Identifier(CONTACT_KEY, key)
        [link] = await load_links(self._log, self._partition, (one,), self._rules.kinds)
        if not isinstance(link, int):
            raise not_found("NO_SUCH_CONTACT", f"there is no contact with the key {key!r} in this workspace")
        return await self.one(contact_of(link)), part_of(link)

    async def by_identifier(self, identifier: Identifier, at_us: int) -> Profile:
        """The current profile of whom `identifier` names. Raises NOT_FOUND / NO_SUCH_CONTACT."""
        [contact] = await self.holders([identifier], at_us)
        return await self.one(contact)
