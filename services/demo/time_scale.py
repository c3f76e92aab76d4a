"""Scenarios of days, played in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from cdp.scenario.v1 import scenario_pb2
from core.clock import HOUR_US, SECOND_US


@dataclass(frozen=True, slots=True)
class TimeScale:
    """How long an hour of a scenario takes here."""

    hour_s: float

    def us(self, duration_us: int) -> int:
        """A duration of the scenario in microseconds of the demo; at least one, of nothing nothing."""
        return max(1, round(duration_us * self.hour_s * SECOND_US / HOUR_US)) if duration_us else 0

    def told(self, passed_s: float) -> str:
        """Seconds of the demo as days and hours of the scenario."""
        hours = passed_s / self.hour_s
        days, rest = divmod(round(hours), 24)
        return f"{days} d {rest:2} h" if days else f"{hours:6.1f} h"

    def scaled(self, scenario: scenario_pb2.Scenario) -> scenario_pb2.Scenario:
        """The same scenario with all its waits, and how long it waits for others, on this scale."""
        made = scenario_pb2.Scenario()
        made.CopyFrom(scenario)
        for block in made.blocks:
            match block.WhichOneof("block"):
                case "wait":
                    block.wait.duration_us = self.us(block.wait.duration_us)
                case "wait_for":
                    block.wait_for.timeout_us = self.us(block.wait_for.timeout_us)
                case "send_group":
                    block.send_group.patience_us = self.us(block.send_group.patience_us)
                case _:
                    continue
        return made
