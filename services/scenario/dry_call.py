"""DryRun as a call: which plan, what started it in the past, and the report."""

from __future__ import annotations

from collections import Counter

from cdp.scenario.v1 import scenario_pb2
from core.errors import invalid
from core.scenario.definition import (
    ApiTrigger,
    CallWebhook,
    EventTrigger,
    FieldTrigger,
    ProductTrigger,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    WaitFor,
)
from core.scenario.plan import Plan
from core.scenario.reentry import PRODUCT_VALUE
from core.scenario.trigger import SEGMENT_VALUE, Occurrence
from core.scenario.validate import plan_of
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.scenario.catalogue import Catalogue
from services.scenario.convert import definition_from_proto
from services.scenario.dry_holds import Holds
from services.scenario.dry_past import PastReader
from services.scenario.dry_peers import DryPeers
from services.scenario.dry_run import DryReport, DryRun
from services.scenario.people import People
from services.scenario.sources import Sources

DEFAULT_ENTRIES, MOST_ENTRIES = 1_000, 10_000


async def dry_run(
    runtime: Runtime, workspace: Workspace, catalogue: Catalogue, people: People, request: scenario_pb2.DryRunRequest
) -> DryReport:
    """See the protocol. INVALID / DRY_RUN for a time that is none, or a trigger that nothing of the past is."""
    now_us = runtime.clock.now_us()
    until_us = min(request.until_us or now_us, now_us)
    if not request.from_us < until_us:
        raise invalid("DRY_RUN", "from_us lies before until_us, and both in the past")
    if request.HasField("scenario"):
        plan = plan_of(request.name or "dry run", 0, definition_from_proto(request.scenario))
    else:
        plan = catalogue.newest(request.name)
    most = min(request.most_entries or DEFAULT_ENTRIES, MOST_ENTRIES)
    reader = PastReader(runtime, workspace.id, people, workspace.zone, plan, request.from_us, until_us)
    starts = await _starts(runtime, workspace, plan, reader, most)
    events = await reader.events_of({one.contact for one in starts}, _types_of(plan))
    peers = DryPeers(runtime, workspace)
    holds = Holds(await peers.rules(), workspace.zone)
    return await DryRun(plan, peers, holds, workspace.zone, now_us, most).rehearse(starts, events)


def report_to_proto(report: DryReport) -> scenario_pb2.DryRunResponse:
    """The wire form."""
    sent = Counter(one.block for one in report.messages if not one.handed.held_by)
    held = Counter(one.handed.held_by for one in report.messages if one.handed.held_by)
    return scenario_pb2.DryRunResponse(
        entered=report.entered,
        refused=report.refused,
        ends=report.ends,
        messages=[
            scenario_pb2.DryRunMessage(
                contact=one.contact,
                block=one.block,
                channel=one.handed.channel,
                template=one.handed.template,
                at_us=one.handed.at_us,
                held_by=one.handed.held_by,
            )
            for one in report.messages
        ],
        sent=sent,
        held=held,
        truncated=report.truncated,
    )


async def _starts(
    runtime: Runtime, workspace: Workspace, plan: Plan, reader: PastReader, most: int
) -> list[Occurrence]:
    """What would have started runs, in the order of their instants. Of whole segments no more is asked for once there
    are more than `most`."""
    trigger, sources = plan.definition.trigger, Sources(runtime, workspace.id)
    found: list[Occurrence] = []
    match trigger:
        case EventTrigger() | FieldTrigger():
            return (await reader.by_facts())[0]
        case SegmentTrigger() | RfmTrigger():
            return await reader.by_memberships()
        case ScheduleTrigger():
            for due_us in reader.dues(trigger):
                members = (await sources.members_at(trigger.segment, due_us, 0)).tolist()
                values = {SEGMENT_VALUE: trigger.segment}
                found += [Occurrence(f"dry:{due_us}", due_us, one, values) for one in members]
                if len(found) > most:
                    break
            return found
        case ProductTrigger():
            for start in (await reader.by_facts())[1]:
                product = {PRODUCT_VALUE: start.product_id}
                members = (await sources.members_at(trigger.segment, start.at_us, 0, product)).tolist()
                trigger_id = f"dry:{start.product_id}:{start.at_us}"
                found += [Occurrence(trigger_id, start.at_us, one, start.values) for one in members]
                if len(found) > most:
                    break
            return found
        case ApiTrigger():
            raise invalid("DRY_RUN", "calls alone start this scenario: nothing of the past does")


def _types_of(plan: Plan) -> frozenset[str]:
    """The types of the events that its runs may want."""
    found: set[str] = set() if plan.event_type is None else {plan.event_type}
    texts = (*plan.conditions.values(), *(() if plan.exit_text is None else (plan.exit_text,)))
    for text in texts:
        found |= {"*"} if text.refers else text.events
    for action in plan.actions.values():
        if isinstance(action, WaitFor) and action.event is not None:
            found.add(action.event.type)
        elif isinstance(action, CallWebhook):
            continue  # nobody answers
    return frozenset(found)
