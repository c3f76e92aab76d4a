"""What one evaluation works on: a root, an instant, a zone, and all contacts or some candidates."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.index.steps import MISSING, StepView
from core.kernels.bits import set_bits, words_for
from core.kernels.ranges import sorted_unique
from core.query.ast import Window, Zone
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.local_time import find_zone
from core.query.names import DEFAULT_SETTING, Setting
from core.query.windows import Interval, days, instants, zone_of
from core.schema import Kind

_UTC = "UTC"
#: The attribute that names a contact's own zone.
ZONE_ATTRIBUTE = "time_zone"


@dataclass(frozen=True, slots=True)
class Valid:
    """Values as of as_of, one per row: `kinds` uint8 (Kind numbers, 0 for missing) and `values` int64; only of sums
    beyond 64 bits they are Python integers."""

    kinds: NDArray[np.uint8]
    values: NDArray[Any]


class Context:
    """One evaluation. Its rows are the contacts 0 to n - 1, or the `candidates` (uint32 ascending, unique)."""

    def __init__(
        self,
        root: Root,
        as_of_us: int,
        zone_name: str,
        candidates: NDArray[np.uint32] | None = None,
        setting: Setting = DEFAULT_SETTING,
        knowledge: Knowledge = NOTHING_KNOWN,
    ) -> None:
        """Raises CdpError for a zone that tzdata does not know."""
        zone = find_zone(zone_name)
        if zone is None:
            raise invalid("ZONE_UNKNOWN", f'no time zone is named "{zone_name}"')
        self.root = root
        self.as_of_us = as_of_us
        self.zone_name = zone_name
        self.candidates = candidates
        self.setting = setting
        self.knowledge = knowledge
        #: Whose answers matter; None: those of all rows. Others may be found or not. See `about`.
        self.among: ContactSet | None = None
        #: What conditions computed for this context and may ask for again; keys are theirs to choose.
        self.computed: dict[Hashable, Any] = {}
        self._whole: Context | None = None
        self._others: dict[int, Context] = {}
        self._zone = zone
        self._attributes: dict[str, Valid] = {}
        self._own_zones: tuple[list[ZoneInfo], NDArray[np.int64]] | None = None
        self._candidate_mask: NDArray[np.bool_] | None = None
        self._candidate_words: NDArray[np.uint64] | None = None

    def whole(self) -> Context:
        """The same evaluation for all contacts: what statistics of a population are made on."""
        if self.candidates is None:
            return self
        if self._whole is None:
            self._whole = Context(self.root, self.as_of_us, self.zone_name, None, self.setting, self.knowledge)
        return self._whole

    def about(self, among: ContactSet) -> Context:
        """The same evaluation, sharing what was computed, for a condition whose answer matters for `among` only."""
        # What copy() does, without its search for how: that took as long as a short count.
        narrowed = object.__new__(Context)
        narrowed.__dict__.update(self.__dict__)
        narrowed.among = among
        return narrowed

    def at(self, as_of_us: int) -> Context:
        """The same facts and candidates at another instant."""
        if as_of_us == self.as_of_us:
            return self
        if as_of_us not in self._others:
            self._others[as_of_us] = Context(
                self.root, as_of_us, self.zone_name, self.candidates, self.setting, self.knowledge
            )
        return self._others[as_of_us]

    @property
    def rows(self) -> int:
        """How many contacts take part."""
        return self.root.contact_count if self.candidates is None else len(self.candidates)

    def contact_numbers(self) -> NDArray[np.uint32]:
        """The contact of each row."""
        return np.arange(self.rows, dtype=np.uint32) if self.candidates is None else self.candidates

    def to_set(self, mask: NDArray[np.bool_]) -> ContactSet:
        """The contacts of the rows where `mask` is true."""
        if self.candidates is None:
            return ContactSet.from_mask(mask)
        return ContactSet.from_numbers(self.candidates[mask])

    def takes_part(self, contacts: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Which of `contacts` are rows of this evaluation."""
        if self.candidates is None:
            return np.ones(len(contacts), np.bool_)
        if self._candidate_mask is None:
            mask = np.zeros(self.root.contact_count, np.bool_)
            mask[self.candidates] = True
            self._candidate_mask = mask
        return self._candidate_mask[contacts]

    def candidate_words(self) -> NDArray[np.uint64]:
        """The candidates as words of a set; not to be written."""
        if self._candidate_words is None:
            assert self.candidates is not None
            self._candidate_words = words_for(self.root.contact_count)
            set_bits(self.candidates, self._candidate_words)
        return self._candidate_words

    def scan_start_work(self) -> int:
        """About how many nanoseconds pass before `candidate_words` is there."""
        return 0 if self._candidate_words is not None else self.root.contact_count // 64

    def row_of(self, contacts: NDArray[np.uint32]) -> NDArray[np.integer]:
        """The rows of contacts that take part."""
        return contacts if self.candidates is None else np.searchsorted(self.candidates, contacts)

    def attribute(self, name: str) -> Valid:
        """The attribute of every row as of as_of; the same arrays each time, not to be written."""
        found = self._attributes.get(name)
        if found is None:
            view: StepView | None = self.root.attributes.get(name)
            if view is None:
                found = Valid(np.zeros(self.rows, np.uint8), np.zeros(self.rows, np.int64))
            else:
                found = Valid(*view.valid(self.as_of_us, self.candidates, self.rows))
            self._attributes[name] = found
        return found

    def attribute_of(self, name: str, contacts: NDArray[np.uint32] | None) -> Valid:
        """The attribute of each of `contacts`, which take part; None: of every row."""
        whole = self.attribute(name)
        if contacts is None:
            return whole
        rows = self.row_of(contacts)
        return Valid(whole.kinds[rows], whole.values[rows])

    def in_window(
        self, window: Window | None, values: NDArray[np.int64], contacts: NDArray[np.uint32] | None, *, dates: bool
    ) -> NDArray[np.bool_]:
        """Which instants (or `dates`: day numbers) lie in the window, by the calendar of each value's contact."""
        if zone_of(window) is not Zone.CONTACT:
            interval = self.interval(window, dates=dates)
            return (values >= interval.start) & (values < interval.until)
        starts, untils = self._own_intervals(window, dates=dates)
        place = self._own_zone_places()
        mine = place if contacts is None else place[self.row_of(contacts)]
        return (values >= starts[mine]) & (values < untils[mine])

    def interval(self, window: Window | None, *, dates: bool = False) -> Interval:
        """The window as one interval; by contacts' zones, the smallest that holds all of theirs."""
        find = days if dates else instants
        if zone_of(window) is Zone.CONTACT:
            starts, untils = self._own_intervals(window, dates=dates)
            return Interval(int(starts.min()), int(untils.max()))
        zone = self._zone
        if zone_of(window) is Zone.UTC:
            zone = find_zone(_UTC) or zone
        return find(window, self.as_of_us, zone)

    def zones_of(
        self, zone: Zone, contacts: NDArray[np.uint32] | None
    ) -> tuple[list[ZoneInfo], NDArray[np.int64] | None]:
        """The zones that `zone` stands for, and for each of `contacts` (None: of every row) the place of its own among
        them; without places there is one zone for all."""
        if zone is Zone.CONTACT:
            zones, places = self._zones()
            return zones, places if contacts is None else places[self.row_of(contacts)]
        return [(find_zone(_UTC) or self._zone) if zone is Zone.UTC else self._zone], None

    def _own_intervals(self, window: Window | None, *, dates: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        find = days if dates else instants
        zones, _ = self._zones()
        intervals = [find(window, self.as_of_us, zone) for zone in zones]
        return np.array([i.start for i in intervals], np.int64), np.array([i.until for i in intervals], np.int64)

    def _own_zone_places(self) -> NDArray[np.int64]:
        return self._zones()[1]

    def _zones(self) -> tuple[list[ZoneInfo], NDArray[np.int64]]:
        """The zones in use (the workspace's first), and for each row the place of its own."""
        if self._own_zones is not None:
            return self._own_zones
        own = self.attribute(ZONE_ATTRIBUTE)
        zones, places = [self._zone], np.zeros(self.rows, np.int64)
        named = np.flatnonzero((own.kinds != MISSING) & (own.kinds == Kind.TEXT))
        codes = sorted_unique(own.values[named])
        place_of_code = np.zeros(len(codes), np.int64)
        for number, code in enumerate(codes.tolist()):
            zone = find_zone(self.root.dictionary.text(code))
            if zone is not None:
                place_of_code[number] = len(zones)
                zones.append(zone)
        places[named] = place_of_code[np.searchsorted(codes, own.values[named])]
        self._own_zones = (zones, places)
        return self._own_zones
