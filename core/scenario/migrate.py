"""Running contacts moved from one version of a scenario to another by an explicit map of blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from core.scenario import machine
from core.scenario.arrive import MISSING_VALUE
from core.scenario.machine import Command, Started, Stopped
from core.scenario.plan import Plan
from core.scenario.reentry import key_of
from core.scenario.run import OWN_VALUES, Run, State

MIGRATED = "migrated"


def unmapped(runs: Iterable[Run], blocks: Mapping[str, str]) -> tuple[str, ...]:
    """The blocks where somebody stands and that the map leaves out, sorted."""
    return tuple(sorted({run.block for run in runs} - blocks.keys()))


def unknown_targets(plan: Plan, blocks: Mapping[str, str]) -> tuple[str, ...]:
    """The blocks that the map leads to and the new version does not have, sorted."""
    return tuple(sorted({target for target in blocks.values() if target} - plan.actions.keys()))


def may_move(old: Plan, new: Plan, run: Run, blocks: Mapping[str, str]) -> bool:
    """Whether the run can be moved as it stands: not while its message may be with a channel, unless it stands at a
    block of that kind again."""
    target = blocks[run.block]
    return run.state is not State.SENDING or (bool(target) and _alike(old, new, run, target))


def migrated(old: Plan, new: Plan, run: Run, blocks: Mapping[str, str], now_us: int) -> tuple[Run, Command]:
    """The run at the block of the new version that the map says, and what it needs next. An empty target ends it
    ("migrated"), as does a value that the new version's texts name and the run does not have ("missing_value:...").

    A run that waits at a block that waits in the same way waits on until the instant that it had; at any other block it
    begins anew. What it did stays written down, and its id and the ids of its messages are those that it had.
    """
    target = blocks[run.block]
    there = run.values.keys() | new.definition.values.keys() | OWN_VALUES
    missing = sorted(new.parameters - there)
    if not target or missing:
        return machine.step(old, run, Stopped(f"{MISSING_VALUE}{missing[0]}" if target else MIGRATED), now_us)
    moved = replace(
        run,
        version=new.version,
        key=key_of(new, run.values),
        block=target,
        check_position=run.check_position if new.exit_text is not None else 0,
        early=tuple(one for one in run.early if one[0] in new.actions),
        checked=False,
    )
    if not _alike(old, new, run, target):
        moved = replace(
            moved, state=State.RUNNING, due_at_us=0, due_local="", entered_at_us=0, ask_position=0, message_id=""
        )  # fmt: skip
    if moved.state is State.RUNNING:
        return machine.step(new, moved, Started(), now_us)
    return moved, machine.needed(new, moved)


def _alike(old: Plan, new: Plan, run: Run, target: str) -> bool:
    """Whether the run stands at a block of the same kind again."""
    return type(old.actions.get(run.block)) is type(new.actions[target])
