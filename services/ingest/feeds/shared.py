"""Products that several feeds of a workspace tell: what was told last counts, and what one feed drops stays as long as
another tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from core.catalog.changes import changes_between
from services.ingest.feeds.staging import changes_bytes
from services.ingest.feeds.store import FeedStore, Told

_BATCH = 500


def hold_removals(store: FeedStore, run: int, others: Sequence[Path], ended: Sequence[Path], low_stock: int) -> None:
    """Hold the staged removals of `run` against the stores of the workspace's `others`: what one of them tells is
    staged as it tells it, the one that told it last where there are several. What nobody tells any more leaves the
    stores of the `ended` feeds, too, whose products stayed. Nothing else may be applied meanwhile. Blocking: call it in
    a thread."""
    found: list[tuple[int, bytes, bytes]] = []
    with _opened(others) as telling, _opened(ended) as left:
        seq = 0
        while rows := store.removed_after(seq, _BATCH):
            seq = rows[-1][0]
            now = _newest(telling, [product_id for _, product_id, _ in rows])
            for number, product_id, before in rows:
                other = now.get(product_id)
                if other is not None:
                    found.append((number, other.product, _changes(before, other, low_stock)))
            gone = [product_id for _, product_id, _ in rows if product_id not in now]
            for one in left:
                one.forget(gone)
        store.hand_over(run, found)


def is_being_applied(path: Path, run: int) -> bool:
    """Whether a part of `run` may be in the log already: then no other feed's may come before the rest."""
    if not path.exists():
        return False
    with closing(FeedStore(path)) as store:
        return store.shared_run == store.staged_run == run


def _newest(telling: Sequence[FeedStore], product_ids: Sequence[str]) -> dict[str, Told]:
    newest: dict[str, Told] = {}
    for one in telling:
        for product_id, told in one.told(product_ids).items():
            if product_id not in newest or told.at_us > newest[product_id].at_us:
                newest[product_id] = told
    return newest


def _changes(before: Told, other: Told, low_stock: int) -> bytes:
    # What the other feed told later stood before the removal already.
    if other.at_us > before.at_us:
        return b""
    return changes_bytes(changes_between(before.standing, other.standing, low_stock))


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[FeedStore]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(FeedStore(path))) for path in paths if path.exists()]
