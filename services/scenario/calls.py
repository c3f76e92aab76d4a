"""What callers do with the runs of a scenario: start them for named contacts, stop them, move them to a version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.errors import CdpError, Code, Violation, conflict, invalid
from core.eventlog.protocol import TableWrite
from core.scenario import machine
from core.scenario.definition import ApiTrigger
from core.scenario.migrate import may_move, migrated, unknown_targets, unmapped
from core.scenario.plan import Plan
from core.scenario.run import Run, State, run_id_of
from core.scenario.trigger import Occurrence
from core.schema import Scalar
from services.runtime.failpoints import failpoint
from services.scenario.catalogue import Catalogue
from services.scenario.decisions import Decided, Decisions
from services.scenario.driver import Driver
from services.scenario.journal import Journal
from services.scenario.runs import Runs
from services.scenario.sources import Sources
from services.scenario.starts import Starts

MOST_CONTACTS = 1_000
#: Runs that are changed in one commit.
_PAGE = 100
#: How long runs that are just telling something are waited for before they are moved, in steps of seconds.
_TELLING_TRIES, _TELLING_PAUSE_S = 40, 0.05
#: Answers that are remembered for requests that come twice at once; those before are read back.
_REMEMBERED = 1_000
#: Table: scenario and request id -> its version then, and how many were refused.
START_REQUESTS = "start_requests"


@dataclass(frozen=True, slots=True)
class Called:
    """What a call started: the ids of the runs, and how many contacts were refused."""

    run_ids: tuple[str, ...]
    refused: int


class Calls:
    """For one workspace. Every method makes its changes durable before it returns."""

    def __init__(
        self,
        journal: Journal,
        decisions: Decisions,
        catalogue: Catalogue,
        runs: Runs,
        starts: Starts,
        driver: Driver,
        sources: Sources,
        seen: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._decisions = decisions
        self._catalogue = catalogue
        self._runs = runs
        self._starts = starts
        self._driver = driver
        self._sources = sources
        self._seen = seen
        self._wake = wake
        self._called: dict[tuple[str, str], Called] = {}

    async def start_runs(
        self, name: str, contacts: Sequence[int], values: Mapping[str, Scalar], request_id: str
    ) -> Called:
        """Start runs of a scenario that calls start. The same request id answers what it answered then."""
        if not request_id:
            raise invalid("NO_REQUEST_ID", "give a request id: the same one starts nothing twice")
        if len(contacts) > MOST_CONTACTS:
            raise invalid("TOO_MANY_CONTACTS", f"{len(contacts)} contacts; at most {MOST_CONTACTS} a call")
        known = await self._answered(name, contacts, request_id)
        if known is not None:
            return known
        self._check_call(name, values)
        owners = {one: self._runs.people.owner(one) for one in contacts}
        present = await self._sources.present(sorted({one for one in owners.values() if one is not None}))
        # Each person once, whichever of their numbers is named.
        there = list({owners[one]: one for one in reversed(contacts) if owners[one] in present}.values())[::-1]
        absent = len(contacts) - len(there)
        return await self._decisions.make(partial(self._start, name, there, absent, values, request_id))

    def _start(
        self, name: str, contacts: Sequence[int], absent: int, values: Mapping[str, Scalar], request_id: str
    ) -> Decided[Called]:
        known = self._called.get((name, request_id))
        if known is not None:
            return Decided(known)  # the same request came twice at once
        self._check_call(name, values)
        now_us = self._journal.now_us()
        found = [
            self._starts.call(name, Occurrence(_trigger_id(request_id), now_us, one, values), self._seen(), now_us)
            for one in contacts
        ]
        run_ids = tuple(start.run_id for start in found if start.changed)
        answer = Called(run_ids, absent + len(found) - len(run_ids))
        self._called[(name, request_id)] = answer
        if len(self._called) > _REMEMBERED:
            del self._called[next(iter(self._called))]
        row = json.dumps([self._catalogue.newest(name).version, answer.refused]).encode()
        failpoint("scenario.before_called_starts")
        return Decided(answer, (TableWrite(START_REQUESTS, {_request_key(name, request_id): row}),), self._wake)

    def _check_call(self, name: str, values: Mapping[str, Scalar]) -> None:
        trigger = self._catalogue.newest(name).definition.trigger
        if not isinstance(trigger, ApiTrigger):
            raise invalid("NOT_STARTED_BY_CALLS", f"scenario {name!r} has no api trigger")
        missing = sorted(set(trigger.required) - values.keys())
        if missing:
            violations = tuple(Violation(f"values[{one}]", "the scenario needs this value") for one in missing)
            raise CdpError(Code.INVALID, "NO_VALUE", f"no value {missing[0]!r} is given", violations=violations)
        if not self._catalogue.may_start(name):
            state = self._catalogue.state(name).value
            raise conflict("SCENARIO_NOT_ACTIVE", f"scenario {name!r} is {state}: it starts nothing")

    async def _answered(self, name: str, contacts: Sequence[int], request_id: str) -> Called | None:
        """What a request was answered before. Ids of runs are made of it, so they need not be kept."""
        (row,) = await self._journal.log.get(self._journal.partition, START_REQUESTS, [_request_key(name, request_id)])
        if row is None:
            return None
        version, refused = json.loads(row)
        ids = (run_id_of(name, version, one, _trigger_id(request_id)) for one in dict.fromkeys(contacts))
        return Called(tuple(one for one in ids if self._runs.is_known(one)), refused)

    async def stop_runs(self, name: str, contacts: Sequence[int], reason: str) -> int:
        """End the active runs of a scenario, of all or of some contacts; returns how many. A message that is being
        handed over in this moment may still go out. Stopped half way it is repeated, and goes on."""
        self._catalogue.definitions.versions(name)  # NOT_FOUND for a name that never was one
        ids = self._runs.of_scenario(name)
        if contacts:
            owners = {self._runs.people.owner(one) for one in contacts}
            ids = [one for one in ids if self._runs.active.head(one).contact in owners]
        stopped = 0
        for start in range(0, len(ids), _PAGE):
            stopped += await self._decisions.make(partial(self._stop, ids[start : start + _PAGE], reason or "stopped"))
            failpoint("scenario.stopped_some")
        return stopped

    def _stop(self, run_ids: Sequence[str], reason: str) -> Decided[int]:
        runs = [self._runs.active[one] for one in run_ids if one in self._runs.active]
        now_us = self._journal.now_us()
        for run in runs:
            self._driver.keep(*machine.step(self._plan(run), run, machine.Stopped(reason), now_us))
        return Decided(len(runs))

    async def migrate_runs(self, name: str, from_version: int, to_version: int, blocks: Mapping[str, str]) -> list[int]:
        """Move the runs of a version to another one; returns [moved, ended]. Each run is moved as a whole; stopped half
        way it is repeated with the same map, and goes on."""
        old = self._catalogue.plan(name, from_version)
        new = self._catalogue.plan(name, to_version) if to_version else self._catalogue.newest(name)
        if old.version == new.version:
            raise invalid("SAME_VERSION", f"runs of version {from_version} are runs of version {from_version}")
        self._check_map(old, new, blocks)
        done = [0, 0]
        for _ in range(_TELLING_TRIES):
            ids = self._of(old)
            for start in range(0, len(ids), _PAGE):
                some = ids[start : start + _PAGE]
                moved, ended = await self._decisions.make(partial(self._migrate, old, new, some, blocks))
                done[0], done[1] = done[0] + moved, done[1] + ended
                failpoint("scenario.migrated_some")
            if not self._of(old):
                self._wake()
                return done
            # What is left is handing a message over: it goes on to its next block first.
            await asyncio.sleep(_TELLING_PAUSE_S)
            self._check_map(old, new, blocks)
        left = len(self._of(old))
        raise CdpError(
            Code.UNAVAILABLE,
            "RUNS_ARE_SENDING",
            f"{done[0]} runs were moved and {done[1]} ended; {left} are handing a message over: repeat the call",
            retry_after_s=1.0,
        )

    def _migrate(
        self, old: Plan, new: Plan, run_ids: Sequence[str], blocks: Mapping[str, str]
    ) -> Decided[tuple[int, int]]:
        now_us = self._journal.now_us()
        moved = ended = 0
        for run_id in run_ids:
            run = self._runs.active.get(run_id)
            if run is None or run.version != old.version or run.block not in blocks:
                continue
            if not may_move(old, new, run, blocks):
                continue
            after, command = migrated(old, new, run, blocks, now_us)
            self._driver.keep(after, command)
            ended += after.state is State.ENDED
            moved += after.state is not State.ENDED
        return Decided((moved, ended))

    def _check_map(self, old: Plan, new: Plan, blocks: Mapping[str, str]) -> None:
        violations = [
            Violation(f"blocks[{block}]", 'runs stand at this block: say where they go, or "" to end them')
            for block in unmapped((self._runs.active[one] for one in self._of(old)), blocks)
        ]
        violations += [
            Violation("blocks", f'version {new.version} has no block "{target}"')
            for target in unknown_targets(new, blocks)
        ]
        if violations:
            raise invalid("BAD_MIGRATION", f"{violations[0].path}: {violations[0].description}", *violations)

    def _of(self, plan: Plan) -> list[str]:
        """The ids of the active runs of a version."""
        heads = self._runs.active.heads()
        return [one for one, head in heads if (head.scenario, head.version) == (plan.name, plan.version)]

    def _plan(self, run: Run) -> Plan:
        return self._catalogue.plan(run.scenario, run.version)


def _trigger_id(request_id: str) -> str:
    return f"api:{request_id}"


def _request_key(name: str, request_id: str) -> bytes:
    return json.dumps([name, request_id], ensure_ascii=False).encode()
