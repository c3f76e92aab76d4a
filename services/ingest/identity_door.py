"""Which identifiers name somebody, as the door sees it: the workspace's rules, followed from unification.

The door refuses early what unification would set aside later, so it need not be exact: rules that were changed within
the last second, or while unification is away, are those of before. Until they are known for the first time, an
identifier of a kind that only the workspace may know passes, and unification decides.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError
from core.events.columns import Identifier
from core.identity.normalise import normalised
from core.identity.rules import CONTACT_KEY, IdentityRules, KindRule
from core.identity.settings import IdentitySettings, rules_of
from services.runtime.identity_rules import change_from_proto, search_pattern
from services.runtime.phone import international
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: Rules that were looked at within so long are fresh.
FRESH_S = 1.0
_TIMEOUT_S = 5.0
_REMEMBERED = 65_536
_OWN_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}")
#: The rules where a workspace has set none.
PLATFORM_RULES = IdentityRules(phone=international)


class IdentityDoor:
    """One workspace's rules about identifiers, as they were read last."""

    def __init__(self, stubs: Stubs, workspace_id: str) -> None:
        self._stubs = stubs
        self._workspace_id = workspace_id
        self._seconds: Callable[[], float] = asyncio.get_running_loop().time
        self._looked_s = -FRESH_S
        self._looking: asyncio.Task[None] | None = None
        self._etag = ""
        self._rules = PLATFORM_RULES
        self._usable: dict[Identifier, bool] = {}
        #: Whether an identifier names somebody by the rules as far as they are known; the same object for good.
        self.usable: Callable[[Identifier], bool] = self._checked
        #: The rules as unification told them last; None before the first time.
        self.told: facts_pb2.IdentityRules | None = None

    @property
    def rules(self) -> IdentityRules:
        """The rules as they were read last."""
        return self._rules

    def _checked(self, identifier: Identifier) -> bool:
        known = self._usable.get(identifier)
        if known is None:
            if len(self._usable) >= _REMEMBERED:
                self._usable.clear()
            known = self._usable[identifier] = self._names_somebody(identifier)
        return known

    def follow(self) -> None:
        """Look whether the rules have changed, if that was not done lately; does not wait for the answer."""
        if self._seconds() - self._looked_s < FRESH_S or self._looking is not None:
            return
        self._looked_s = self._seconds()
        self._looking = asyncio.create_task(self._look(), name=f"ingest-identity-rules-{self._workspace_id}")
        self._looking.add_done_callback(self._looked)

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    def learn(self, answer: profile_pb2.GetIdentityRulesResponse) -> None:
        """Take over rules that were read."""
        if answer.rules.etag == self._etag:
            return
        self._rules = rules_from(answer.rules)
        self.told = answer.rules
        self._etag = answer.rules.etag
        self._usable.clear()

    def _names_somebody(self, identifier: Identifier) -> bool:
        return names_somebody(identifier, self._rules if self._etag else None)

    async def _look(self) -> None:
        try:
            metadata = self._stubs.internal_metadata(self._workspace_id)
            request = profile_pb2.GetIdentityRulesRequest()
            self.learn(await self._stubs.profile().GetIdentityRules(request, metadata=metadata, timeout=_TIMEOUT_S))
        except (grpc.aio.AioRpcError, CdpError, ValueError) as error:
            _LOG.debug("rules about identifiers not read", workspace=self._workspace_id, error=type(error).__name__)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("rules about identifiers not read", workspace=self._workspace_id, error=str(task.exception()))


def rules_from(told: facts_pb2.IdentityRules) -> IdentityRules:
    """The rules that unification told."""
    change = change_from_proto(told)
    kinds = {CONTACT_KEY: PLATFORM_RULES.kinds[CONTACT_KEY]}
    for code, one in enumerate(change.kinds, start=1):  # codes are unification's own; here nothing is stored
        kinds[one.name] = KindRule(code, one.priority, one.limit, one.strong, one.known, one.disabled)
    return rules_of(IdentitySettings(kinds, change.moves_limit, change.blocked), PLATFORM_RULES, search_pattern)


def names_somebody(identifier: Identifier, rules: IdentityRules | None) -> bool:
    """Whether an identifier is usable by the rules; None: they are not known yet."""
    if rules is None and identifier.kind not in PLATFORM_RULES.kinds:
        return bool(_OWN_KIND.fullmatch(identifier.kind)) and _plausible(identifier)
    return normalised(identifier, rules or PLATFORM_RULES) is not None


def one_form(identifier: Identifier) -> Identifier:
    """The form under which an identifier is kept: an email in small letters, a phone as digits. One that names nobody
    by the platform's rules stays as it is."""
    return normalised(identifier, PLATFORM_RULES) or identifier


def _plausible(identifier: Identifier) -> bool:
    """Whether it would name somebody if its kind were known."""
    return normalised(Identifier(CONTACT_KEY, identifier.value), PLATFORM_RULES) is not None
