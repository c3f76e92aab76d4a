"""Definitions of scenarios saved and deleted: checked by ourselves and by the engine, then made durable as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cdp.scenario.v1 import scenario_pb2
from core.scenario.definition import RfmTrigger
from core.scenario.validate import plan_of
from services.runtime.definitions import DefinitionChange, Stored
from services.scenario.catalogue import Catalogue
from services.scenario.convert import definition_from_proto
from services.scenario.decisions import Decided, Decisions
from services.scenario.driver import Driver
from services.scenario.journal import Journal
from services.scenario.peers import Peers
from services.scenario.sources import Sources


class Saves:
    """For one workspace."""

    def __init__(
        self,
        journal: Journal,
        decisions: Decisions,
        catalogue: Catalogue,
        driver: Driver,
        peers: Peers,
        sources: Sources,
        wake: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._decisions = decisions
        self._catalogue = catalogue
        self._driver = driver
        self._peers = peers
        self._sources = sources
        self._wake = wake

    async def save(self, name: str, message: scenario_pb2.Scenario, etag: str, actor: str, request_id: str) -> Stored:
        """Check and save the next version. A request id that was seen for this name answers what it answered then."""
        answered = self._catalogue.definitions.answered(name, request_id)
        if answered is not None:
            return answered
        definition = definition_from_proto(message)
        plan_of(name, 0, definition)
        await self._peers.check_texts(definition)
        await self._sources.check(definition)
        if isinstance(definition.trigger, RfmTrigger):
            await self._sources.keep_cells(definition.trigger)
        kept = scenario_pb2.Scenario()
        kept.CopyFrom(message)
        kept.ClearField("revision")
        payload = kept.SerializeToString(deterministic=True)
        return await self._decisions.make(
            partial(self._save, name, payload, definition.paused, etag, actor, request_id)
        )

    def _save(self, name: str, payload: bytes, paused: bool, etag: str, actor: str, request_id: str) -> Decided[Stored]:
        definitions = self._catalogue.definitions
        answered = definitions.answered(name, request_id)
        if answered is not None:
            return Decided(answered)  # the same request was answered meanwhile
        now_us = self._journal.now_us()
        change = definitions.save(name, payload, etag, actor, now_us, request_id)
        states = self._catalogue.states
        if not states.has(name) or (self._catalogue.is_paused(name) and not paused):
            states.dealt_with(name, now_us)  # its schedule begins here, or goes on
        return self._taken_over(change)

    async def delete(self, name: str, etag: str, actor: str) -> Stored:
        """Delete a scenario: its runs end before their next step."""
        return await self._decisions.make(partial(self._delete, name, etag, actor))

    def _delete(self, name: str, etag: str, actor: str) -> Decided[Stored]:
        change = self._catalogue.definitions.delete(name, etag, actor, self._journal.now_us())
        self._catalogue.states.forget(name)
        return self._taken_over(change)

    def _taken_over(self, change: DefinitionChange) -> Decided[Stored]:
        def then() -> None:
            self._catalogue.applied(change)
            self._driver.release(change.stored.revision.name)
            self._wake()

        return Decided(change.stored, change.writes, then)
