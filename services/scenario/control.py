"""What callers do with whole scenarios: activate, pause, drain and stop them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial

from core.errors import CdpError, Code, Violation, conflict
from core.scenario.definition import Definition, ScheduleTrigger, SegmentTrigger
from core.scenario.launch import Launch, LaunchKind
from core.scenario.plan import Plan
from services.scenario.calls import Calls
from services.scenario.catalogue import SCENARIO_STOPPED, Catalogue
from services.scenario.decisions import Decided, Decisions
from services.scenario.driver import Driver
from services.scenario.journal import Journal
from services.scenario.launcher import MEMBERS
from services.scenario.launches import Launches
from services.scenario.sources import Sources
from services.scenario.states import ScenarioState


class Existing(Enum):
    """What becomes of contacts who are in the segment already when its scenario is activated."""

    ASK = "ask"
    LEAVE_OUT = "leave_out"
    START = "start"


class Control:
    """For one workspace. Every method makes its changes durable before it returns."""

    def __init__(
        self,
        journal: Journal,
        decisions: Decisions,
        catalogue: Catalogue,
        calls: Calls,
        launches: Launches,
        driver: Driver,
        sources: Sources,
        seen: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._decisions = decisions
        self._catalogue = catalogue
        self._calls = calls
        self._launches = launches
        self._driver = driver
        self._sources = sources
        self._seen = seen
        self._wake = wake

    # --- states ---------------------------------------------------------------------------------------------------

    async def set_state(
        self, name: str, state: ScenarioState, existing: Existing, etag: str, approved: int, actor: str
    ) -> int:
        """Give a scenario a state; returns how many contacts are in the segment that starts it (0: no segment does, or
        it is not being activated). To activate one that was not active, CONFLICT / EXISTING_MEMBERS where there are
        members and the caller does not say what becomes of them; CONFLICT / APPROVAL_NEEDED for more at once than the
        workspace allows, until as many are approved. The number is in the violation."""
        plan = self._checked(name, etag)
        if state is ScenarioState.ACTIVE and plan.definition.paused:
            raise conflict("SCENARIO_PAUSED", f"scenario {name!r} was saved as paused: save it without that")
        was_active = self._catalogue.states.of(name).state is ScenarioState.ACTIVE
        number, starts_them = 0, False
        if state is ScenarioState.ACTIVE:
            number = await self._members(plan.definition)
            starts_them = isinstance(plan.definition.trigger, SegmentTrigger) and existing is Existing.START
            if isinstance(plan.definition.trigger, SegmentTrigger) and number and not was_active:
                _check_existing(existing, number)
            if starts_them or isinstance(plan.definition.trigger, ScheduleTrigger):
                await self._check_approval(number, max(approved, self._catalogue.states.of(name).approved))
        await self._decisions.make(partial(self._set, name, etag, state, approved, actor, starts_them))
        if state is ScenarioState.STOPPED:
            await self._calls.stop_runs(name, (), SCENARIO_STOPPED)
        return number

    def _set(
        self, name: str, etag: str, state: ScenarioState, approved: int, actor: str, starts_them: bool
    ) -> Decided[None]:
        plan = self._checked(name, etag)
        now_us = self._journal.now_us()
        row = self._catalogue.states.of(name)
        begins = state is ScenarioState.ACTIVE and row.state is not ScenarioState.ACTIVE
        after_us = now_us if begins else row.after_us
        audit, write = self._catalogue.definitions.noted(name, state.value, actor, now_us)
        self._catalogue.states.set(
            name, replace(row, state=state, approved=max(approved, row.approved), after_us=after_us)
        )
        trigger = plan.definition.trigger
        if starts_them and isinstance(trigger, SegmentTrigger) and (begins or not self._has_existing(plan)):
            self._launches.put(
                Launch(
                    f"{name}@{plan.version}:existing {now_us if begins else 0}",
                    LaunchKind.EXISTING,
                    name,
                    plan.version,
                    now_us,
                    trigger.segment,
                    {},
                    self._seen(),
                    held_by=MEMBERS,
                )
            )

        def then() -> None:
            self._catalogue.definitions.took_note(audit)
            self._catalogue.changed()
            self._driver.release(name)
            self._wake()

        return Decided(None, (write,), then)

    def _has_existing(self, plan: Plan) -> bool:
        """Whether the members of an active scenario's segment were started before: a repeated call starts none."""
        return any(
            one.kind is LaunchKind.EXISTING and (one.scenario, one.version) == (plan.name, plan.version)
            for one in self._launches
        )

    async def _members(self, definition: Definition) -> int:
        match definition.trigger:
            case ScheduleTrigger(segment):
                return await self._sources.count(segment)
            case SegmentTrigger(segment, on_leave=False):
                return await self._sources.count(segment)
            case _:
                return 0

    async def _check_approval(self, number: int, approved: int) -> None:
        if number <= approved:
            return
        limit = await self._sources.approval_contacts()
        if number > limit:
            text = f"{number} contacts would be started at once, more than {limit}: approve as many"
            raise CdpError(
                Code.CONFLICT, "APPROVAL_NEEDED", text, violations=(Violation("approved_contacts", str(number)),)
            )

    def _checked(self, name: str, etag: str) -> Plan:
        """The newest version. CONFLICT / ETAG_MISMATCH if it is another one than the caller read."""
        stored = self._catalogue.definitions.get(name)
        if etag and stored.revision.etag != etag:
            raise conflict("ETAG_MISMATCH", f"scenario {name!r} was changed meanwhile: read it again")
        return self._catalogue.newest(name)


def _check_existing(existing: Existing, number: int) -> None:
    if existing is Existing.ASK:
        text = f"{number} contacts are in the segment already: say whether they start or are left out"
        raise CdpError(Code.CONFLICT, "EXISTING_MEMBERS", text, violations=(Violation("existing", str(number)),))
