"""Blocks of scenarios between their wire form and core."""

from __future__ import annotations

from cdp.scenario.v1 import scenario_pb2 as pb
from core.clock import HOUR_US
from core.scenario.definition import (
    DEFAULT_EXPIRY_US,
    Action,
    Block,
    Branch,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    EventTrigger,
    Exit,
    IssueCoupon,
    LocalTime,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Wait,
    WaitFor,
)
from services.runtime.facts import value_to_proto
from services.scenario.convert_values import (
    WEEKDAYS,
    minute_of_day,
    scalar,
    time_of_day,
    weekdays,
    wrong,
)


def block_from_proto(message: pb.Block, path: str) -> Block:
    """The block at `path`. Raises INVALID / SCENARIO_INVALID for what core has no form of."""
    return Block(message.id, _action(message, path))


def _action(message: pb.Block, path: str) -> Action:
    match message.WhichOneof("block"):
        case "wait":
            return _wait(message.wait, f"{path}.wait")
        case "wait_for":
            return _wait_for(message.wait_for)
        case "condition":
            asked = message.condition
            return Condition(asked.text, asked.when_true, asked.when_false)
        case "split":
            branches = tuple(Branch(one.share, one.next, one.name) for one in message.split.branches)
            return Split(branches, message.split.salt)
        case "control":
            control = message.control
            return Control(control.share, getattr(control, "global"), control.when_in, control.next)
        case "send":
            return _send(message.send)
        case "send_group":
            return _group(message.send_group, f"{path}.send_group")
        case "set_attribute":
            change = message.set_attribute
            value = scalar(change.value, f"{path}.set_attribute.value")
            return SetAttribute(change.name, value, change.from_value, change.next)
        case "change_lists":
            lists = message.change_lists
            return ChangeLists(tuple(lists.add), tuple(lists.remove), lists.next)
        case "issue_coupon":
            issue = message.issue_coupon
            return IssueCoupon(issue.pool, issue.store_as or "coupon", issue.next, issue.when_empty)
        case "call_webhook":
            call = message.call_webhook
            store_as, timeout_us = call.store_as or "answer", call.timeout_us or HOUR_US
            return CallWebhook(call.template, store_as, timeout_us, call.next, call.when_failed)
        case "start_scenario":
            other = message.start_scenario
            return StartScenario(other.scenario, tuple(other.values), other.next)
        case "exit":
            return Exit(message.exit.reason)
        case None:
            raise wrong(path, "say what the block does: it waits, asks, sends, exits, or the like")


def _wait(message: pb.Wait, path: str) -> Wait:
    until: LocalTime | DateAttribute | None = None
    if message.HasField("until_local") and message.HasField("until_date"):
        raise wrong(path, "a wait is until a time of day or until a date, not both")
    if message.HasField("until_local"):
        local = message.until_local
        if not local.time:
            raise wrong(f"{path}.until_local.time", 'say until when, like "09:00"')
        minute = minute_of_day(local.time, f"{path}.until_local.time")
        until = LocalTime(minute, weekdays(local.weekdays, f"{path}.until_local.weekdays"), local.workspace_zone)
    elif message.HasField("until_date"):
        dated = message.until_date
        minute = minute_of_day(dated.local_time, f"{path}.until_date.local_time")
        until = DateAttribute(dated.attribute, dated.offset_us, minute, dated.yearly, dated.when_missing)
    return Wait(message.duration_us, message.next, until)


def _wait_for(message: pb.WaitFor) -> WaitFor:
    event = EventTrigger(message.event.type, message.event.filter) if message.HasField("event") else None
    return WaitFor(
        message.timeout_us, event, message.condition, message.store_as, message.when_met, message.when_timeout
    )


def _send(message: pb.Send) -> Send:
    return Send(
        message.channel,
        message.template,
        message.kind or "trigger",
        message.next,
        message.content,
        message.expires_after_us or DEFAULT_EXPIRY_US,
    )


def _group(message: pb.SendGroup, path: str) -> SendGroup:
    if message.order not in pb.GroupOrder.values():
        raise wrong(f"{path}.order", "no order that this version knows")
    return SendGroup(
        tuple(_send(option) for option in message.options),
        message.order == pb.GROUP_ORDER_PREFERENCE,
        message.patience_us,
        message.next,
    )


def block_to_proto(block: Block) -> pb.Block:
    """The wire form."""
    match block.action:
        case Wait() as wait:
            return pb.Block(id=block.id, wait=_wait_to_proto(wait))
        case WaitFor() as wait_for:
            return pb.Block(id=block.id, wait_for=_wait_for_to_proto(wait_for))
        case Condition(text, when_true, when_false):
            asked = pb.Condition(text=text, when_true=when_true, when_false=when_false)
            return pb.Block(id=block.id, condition=asked)
        case Split(branches, salt):
            ways = [pb.Split.Branch(share=one.share, next=one.next, name=one.name) for one in branches]
            return pb.Block(id=block.id, split=pb.Split(branches=ways, salt=salt))
        case Control(share, whole_workspace, when_in, after):
            control = pb.Control(share=share, when_in=when_in, next=after)
            setattr(control, "global", whole_workspace)
            return pb.Block(id=block.id, control=control)
        case Send() as send:
            return pb.Block(id=block.id, send=_send_to_proto(send))
        case SendGroup() as group:
            return pb.Block(id=block.id, send_group=_group_to_proto(group))
        case SetAttribute(name, value, from_value, after):
            change = pb.SetAttribute(name=name, from_value=from_value, next=after)
            if value is not None:
                change.value.CopyFrom(value_to_proto(value))
            return pb.Block(id=block.id, set_attribute=change)
        case ChangeLists(add, remove, after):
            return pb.Block(id=block.id, change_lists=pb.ChangeLists(add=add, remove=remove, next=after))
        case IssueCoupon(pool, store_as, after, when_empty):
            issue = pb.IssueCoupon(pool=pool, store_as=store_as, next=after, when_empty=when_empty)
            return pb.Block(id=block.id, issue_coupon=issue)
        case CallWebhook(template, store_as, timeout_us, after, when_failed):
            call = pb.CallWebhook(
                template=template, store_as=store_as, timeout_us=timeout_us, next=after, when_failed=when_failed
            )
            return pb.Block(id=block.id, call_webhook=call)
        case StartScenario(scenario, values, after):
            return pb.Block(id=block.id, start_scenario=pb.StartScenario(scenario=scenario, values=values, next=after))
        case Exit(reason):
            return pb.Block(id=block.id, exit=pb.Exit(reason=reason))


def _wait_to_proto(wait: Wait) -> pb.Wait:
    match wait.until:
        case None:
            return pb.Wait(duration_us=wait.duration_us, next=wait.next)
        case LocalTime(minute, days, workspace_zone):
            names = [WEEKDAYS[day] for day in days]
            local = pb.LocalTime(time=time_of_day(minute), weekdays=names, workspace_zone=workspace_zone)
            return pb.Wait(until_local=local, next=wait.next)
        case DateAttribute(attribute, offset_us, minute, yearly, when_missing):
            dated = pb.DateAttribute(
                attribute=attribute,
                offset_us=offset_us,
                local_time=time_of_day(minute) if minute else "",
                yearly=yearly,
                when_missing=when_missing,
            )
            return pb.Wait(until_date=dated, next=wait.next)


def _wait_for_to_proto(wait: WaitFor) -> pb.WaitFor:
    message = pb.WaitFor(
        condition=wait.condition,
        timeout_us=wait.timeout_us,
        store_as=wait.store_as,
        when_met=wait.when_met,
        when_timeout=wait.when_timeout,
    )
    if wait.event is not None:
        message.event.CopyFrom(pb.EventTrigger(type=wait.event.type, filter=wait.event.filter))
    return message


def _send_to_proto(send: Send) -> pb.Send:
    return pb.Send(
        channel=send.channel,
        template=send.template,
        kind=send.kind,
        next=send.next,
        content=send.content,
        expires_after_us=send.expires_after_us,
    )


def _group_to_proto(group: SendGroup) -> pb.SendGroup:
    return pb.SendGroup(
        options=[_send_to_proto(option) for option in group.options],
        order=pb.GROUP_ORDER_PREFERENCE if group.by_preference else pb.GROUP_ORDER_PRIORITY,
        patience_us=group.patience_us,
        next=group.next,
    )
