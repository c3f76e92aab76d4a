"""Looking at the writes that may start runs, once they are due: the contact's history says whether they do."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from core.errors import CdpError, Code
from core.scenario.definition import FieldTrigger
from core.scenario.plan import Plan
from core.scenario.trigger import Occurrence
from core.scenario.trigger_fields import change_of, values_of_change
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger
from services.scenario.catalogue import Catalogue
from services.scenario.field_checks import FieldCheck, FieldChecks
from services.scenario.journal import Journal
from services.scenario.sources import Sources
from services.scenario.starts import Starts

_LOG = get_logger(__name__)
_AT_ONCE = 32


class FieldWatch:
    """Makes the checks of one workspace."""

    def __init__(
        self, journal: Journal, checks: FieldChecks, starts: Starts, catalogue: Catalogue, sources: Sources
    ) -> None:
        self._journal = journal
        self._checks = checks
        self._starts = starts
        self._catalogue = catalogue
        self._sources = sources

    async def step(self) -> bool:
        """Make some of the checks that are due; True if any was made. Those whose history cannot be had now stay."""
        due = self._checks.due(self._journal.now_us(), _AT_ONCE)
        made = await asyncio.gather(*(self._look(check) for check in due))
        return any(made)

    async def _look(self, check: FieldCheck) -> bool:
        plan = self._plan(check)
        occurrence = None
        if plan is not None:
            try:
                occurrence = await self._occurrence(plan, check)
            except CdpError as error:
                if error.code is Code.INVALID:
                    raise
                _LOG.warning("history not had, looking again", check=check.id, reason=error.reason)
                return False
        failpoint("scenario.before_field_start")
        async with self._journal.changing:
            plan = self._plan(check)  # it may be deleted meanwhile
            if plan is not None and occurrence is not None:
                self._starts.start(plan, occurrence, check.position, self._journal.now_us(), check.part)
            self._checks.made(check.id)
            await self._journal.commit_runs()
        return True

    async def _occurrence(self, plan: Plan, check: FieldCheck) -> Occurrence | None:
        trigger = plan.definition.trigger
        if not isinstance(trigger, FieldTrigger):
            return None
        history = await self._sources.history(
            check.contact, trigger.attribute, check.at_us, check.upstream_position
        )  # fmt: skip
        if history is None:
            return None
        until_us = check.due_at_us if trigger.held_for_us else self._journal.now_us()
        change = change_of(trigger, history, check.at_us, until_us)
        if change is None:
            return None
        found = Occurrence(check.id, check.at_us, check.contact, values_of_change(trigger, change))
        return replace(found, upstream_position=check.upstream_position)

    def _plan(self, check: FieldCheck) -> Plan | None:
        """The version that the write met, if it may still start."""
        over = self._catalogue.over_because(check.scenario, check.version)
        if over or not self._catalogue.may_start(check.scenario):
            return None
        return self._catalogue.plan(check.scenario, check.version)
