"""The first half of an import: the file is read once, each item is compared with what was applied last, and what
differs is staged. Nothing is applied here, so that a feed that shrank, or whose file is cut, changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.catalog.changes import Standing, changes_between
from core.catalog.offer import Offer, OfferRules, Refused, offer_of
from core.errors import invalid
from core.events.facts import ProductChange, ProductChangeKind
from core.money.at_home import NO_RATE, ORIGINAL
from services.ingest.feeds.encode import product_bytes
from services.ingest.feeds.item import BAD_ROW, RawItem
from services.ingest.feeds.store import CHANGED, NEW, REMOVED, FeedStore, Known, Rejected, Staged
from services.runtime.product_changes import changes_to_proto

DUPLICATE_ID = "DUPLICATE_ID"
TOO_MANY_ITEMS = "TOO_MANY_ITEMS"

#: Items are compared so many at a time.
_BATCH = 1_000
_DIGEST_BYTES = 16
_NOTHING = Standing(None, None, None)
_PRICE_ORIGINAL = f"price{ORIGINAL}"


@dataclass(slots=True)
class Tally:
    """What the staging found so far. `missing`: items known before that the file lacks. `next_edge_us`: when a sale of
    the feed begins or ends next; 0: none does. `foreign`: items with prices in another currency than the workspace's,
    those without a rate as well."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    changed: int = 0
    new: int = 0
    missing: int = 0
    known_before: int = 0
    next_edge_us: int = 0
    foreign: int = 0


@dataclass(slots=True)
class Staging:
    """Stages one run into `store`, between its `begin` and `staged_whole`. With `compare` False nothing was known of a
    feed that had products: their changes cannot be told. `partial`: what the file lacks stays."""

    store: FeedStore
    rules: OfferRules
    maximum_items: int
    compare: bool
    partial: bool
    tally: Tally = field(default_factory=Tally)
    _offers: dict[str, tuple[RawItem, Offer]] = field(default_factory=dict)
    _refused: list[Rejected] = field(default_factory=list)
    _kept: set[str] = field(default_factory=set)
    #: By row of the item: it was told; it was refused, and stays as it was.
    _seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    _spared: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def stage(self, items: Iterable[RawItem], progress: Callable[[Tally], None]) -> Tally:
        """Read all items. Raises what their reader raises, and INVALID / TOO_MANY_ITEMS."""
        self.tally.known_before = self.store.count()
        self._seen = np.zeros(self.store.last_place() + 1, np.bool_)
        self._spared = np.zeros_like(self._seen)
        for item in items:
            self._take(item)
            if len(self._offers) >= _BATCH or len(self._refused) >= _BATCH:
                self._flush()
                progress(self.tally)
        self._flush()
        self._miss()
        counts = self.store.staged_counts()
        self.tally.new = counts.get(NEW, 0)
        self.tally.changed = self.tally.new + counts.get(CHANGED, 0)
        progress(self.tally)
        return self.tally

    def _take(self, item: RawItem) -> None:
        tally = self.tally
        tally.read += 1
        if tally.read > self.maximum_items:
            raise invalid(TOO_MANY_ITEMS, f"the feed has more than {self.maximum_items} items")
        offer = Refused("", BAD_ROW, item.wrong) if item.wrong else offer_of(item.fields, self.rules)
        if isinstance(offer, Refused):
            self._reject(item, offer)
            return
        tally.foreign += _PRICE_ORIGINAL in offer.fields
        earlier = self._offers.pop(offer.product_id, None)
        if earlier is not None:
            self._duplicate(earlier[0], offer.product_id)
        else:
            tally.accepted += 1
        self._offers[offer.product_id] = (item, offer)
        edge = offer.next_edge_us
        if edge is not None and (not tally.next_edge_us or edge < tally.next_edge_us):
            tally.next_edge_us = edge

    def _reject(self, item: RawItem, refused: Refused) -> None:
        self.tally.rejected += 1
        self.tally.foreign += refused.reason == NO_RATE
        self._refused.append(Rejected(item.number, item.line, refused.product_id, refused.reason, refused.description))
        if refused.product_id:
            # It is still on sale, as far as anybody can tell: it stays as it was told last.
            self._kept.add(refused.product_id)

    def _duplicate(self, earlier: RawItem, product_id: str) -> None:
        self.tally.rejected += 1
        self._refused.append(
            Rejected(earlier.number, earlier.line, product_id, DUPLICATE_ID, "a later item of the file has the same id")
        )

    def _flush(self) -> None:
        if self._kept:
            for one in self.store.known(tuple(self._kept)).values():
                self._spared[one.place] = True
            self._kept.clear()
        if self._offers:
            self._compare()
        if self._refused:
            self.store.reject(self._refused)
            self._refused.clear()

    def _compare(self) -> None:
        ids = tuple(self._offers)
        known = self.store.known(ids) if self.tally.known_before else {}
        repeated = self.store.already_staged(ids) | {one for one, was in known.items() if self._seen[was.place]}
        rows = []
        for product_id, (item, offer) in self._offers.items():
            before = known.get(product_id)
            if product_id in repeated:
                self._repeated(item, product_id)
            if before is not None:
                self._seen[before.place] = True
            product = product_bytes(offer.product_id, offer.fields)
            digest = hashlib.blake2b(product, digest_size=_DIGEST_BYTES).digest()
            if before is None or before.digest != digest:
                rows.append(self._row(offer, before, product, digest))
        self._offers.clear()
        if repeated:
            self.store.unstage(repeated)
        self.store.stage(rows)

    def _repeated(self, later: RawItem, product_id: str) -> None:
        # Where the earlier item stood is not kept: the report names the later one, and says which of them counts.
        self.tally.rejected += 1
        self.tally.accepted -= 1
        self._refused.append(
            Rejected(
                later.number, later.line, product_id, DUPLICATE_ID, "an earlier item has the same id; this one counts"
            )
        )

    def _row(self, offer: Offer, before: Known | None, product: bytes, digest: bytes) -> Staged:
        changes: tuple[ProductChange, ...] = ()
        if self.compare:
            was = None if before is None else before.standing
            changes = changes_between(was, offer.standing, self.rules.low_stock)
        kind = NEW if before is None else CHANGED
        return Staged(offer.product_id, digest, offer.standing, product, changes_bytes(changes), kind)

    def _miss(self) -> None:
        """Count what the file lacks, and stage its removal."""
        missing = np.flatnonzero(~(self._seen | self._spared)[1:]) + 1
        gone = changes_bytes((ProductChange(ProductChangeKind.REMOVED),))
        place, wanted = 0, set(missing.tolist())
        while wanted and (rows := self.store.items_after(place, _BATCH)):
            place = rows[-1][0]
            lacking = [product_id for row, product_id in rows if row in wanted]
            self.tally.missing += len(lacking)
            if not self.partial:
                self.store.stage(Staged(one, b"", _NOTHING, removed_bytes(one), gone, REMOVED) for one in lacking)


def removed_bytes(product_id: str) -> bytes:
    """A deleted product, serialised."""
    return facts_pb2.Product(product_id=product_id, deleted=True).SerializeToString()


def changes_bytes(changes: tuple[ProductChange, ...]) -> bytes:
    """A serialised product of changes alone: put behind a product's bytes, they are that product's."""
    return facts_pb2.Product(changes=changes_to_proto(changes)).SerializeToString() if changes else b""
