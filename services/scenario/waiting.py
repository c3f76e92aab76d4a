"""Facts that may start runs once somebody else was asked: writes of attributes, changes of products, edits of segments.

They are written down with the position of the entry that told them; field_watch.py and launcher.py go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.events.facts import AttributeWrite, FactBatch, ProductState, Unmerge
from core.scenario.definition import FieldTrigger, ProductTrigger, SegmentTrigger
from core.scenario.launch import Launch, LaunchKind, fixed
from core.scenario.trigger import Cause, may_cause
from core.scenario.trigger_fields import is_worth_a_look
from core.scenario.trigger_products import started_by_product
from services.scenario.catalogue import Catalogue
from services.scenario.field_checks import FieldCheck, FieldChecks
from services.scenario.launches import Launches


class Waiting:
    """Writes down what waits, for one workspace. Synchronous; the caller commits."""

    def __init__(self, catalogue: Catalogue, checks: FieldChecks, launches: Launches) -> None:
        self._catalogue = catalogue
        self._checks = checks
        self._launches = launches

    def facts(self, batch: FactBatch, upstream_position: int) -> bool:
        """What one entry of the profile log tells; True if anything was written down."""
        found = False
        if not self._catalogue.waits_for_facts:
            return found
        for index, fact in _told_first(batch):
            if isinstance(fact, AttributeWrite):
                found |= self._write(fact, batch, index, upstream_position)
            else:
                found |= self._product(fact, batch, index)
        return found

    def edited(
        self,
        segment: str,
        entered: NDArray[np.uint32],
        left: NDArray[np.uint32],
        record: str,
        recorded_at_us: int,
        position: int,
    ) -> bool:
        """A segment was saved anew: scenarios that an edit starts are launched for those who entered, or left."""
        found = False
        for plan in self._catalogue.started_by_segment(segment):
            trigger = plan.definition.trigger
            members = left if isinstance(trigger, SegmentTrigger) and trigger.on_leave else entered
            if not len(members) or not may_cause(plan.definition, Cause.EDIT):
                continue
            if recorded_at_us < self._catalogue.since_us(plan.name):
                continue
            launch_id = f"{plan.name}@{plan.version}:edit {record}"
            launch = Launch(
                launch_id, LaunchKind.EDIT, plan.name, plan.version, recorded_at_us, segment, {}, position
            )  # fmt: skip
            self._launches.fix(launch_id, members)
            self._launches.put(fixed(launch, len(members), recorded_at_us))
            found = True
        return found

    def _write(self, write: AttributeWrite, batch: FactBatch, index: int, upstream_position: int) -> bool:
        found = False
        for plan in self._catalogue.started_by_attribute(write.name):
            trigger = plan.definition.trigger
            if not isinstance(trigger, FieldTrigger) or not is_worth_a_look(plan, write, batch.recorded_at_us):
                continue
            if batch.recorded_at_us < self._catalogue.since_us(plan.name):
                continue
            check = FieldCheck(
                f"{plan.name}@{plan.version}:{batch.position}.{index}",
                plan.name,
                plan.version,
                write.contact,
                write.part or write.contact,
                write.occurred_at_us,
                write.occurred_at_us + trigger.held_for_us,
                batch.position,
                upstream_position,
            )
            self._checks.add(check)
            found = True
        return found

    def _product(self, state: ProductState, batch: FactBatch, index: int) -> bool:
        found = False
        for plan in self._catalogue.started_by_product():
            trigger = plan.definition.trigger
            start = started_by_product(plan, state, batch.recorded_at_us)
            if start is None or not isinstance(trigger, ProductTrigger):
                continue
            if batch.recorded_at_us < self._catalogue.since_us(plan.name):
                continue
            launch_id = f"{plan.name}@{plan.version}:{batch.position}.{index}"
            self._launches.put(
                Launch(
                    launch_id, LaunchKind.PRODUCT, plan.name, plan.version, start.at_us, trigger.segment, start.values,
                    batch.position,
                )
            )  # fmt: skip
            found = True
        return found


def _told_first(batch: FactBatch) -> Iterator[tuple[int, AttributeWrite | ProductState]]:
    """Writes and products that nobody told before, with their places: an unmerge tells old writes anew."""
    anew: tuple[int, int] | None = None
    for index, fact in enumerate(batch.facts):
        if isinstance(fact, Unmerge):
            anew = (fact.before_event, fact.item)
        elif isinstance(fact, ProductState) or (
            isinstance(fact, AttributeWrite) and (fact.before_event, fact.item) != anew
        ):
            yield index, fact
