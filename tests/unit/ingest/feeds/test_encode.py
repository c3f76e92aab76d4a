"""Bytes made by hand say what the messages say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cdp.facts.v1 import facts_pb2
from core.schema import DecimalUnits, Instant, Scalar
from services.ingest.feeds.apply import StagedEntry, fact_bytes
from services.ingest.feeds.encode import product_bytes
from services.runtime.facts import value_to_proto

INT64 = st.integers(-(2**63), 2**63 - 1)
FIELDS: st.SearchStrategy[dict[str, Scalar]] = st.dictionaries(
    st.text(min_size=1, max_size=200),
    st.one_of(st.text(max_size=400), st.booleans(), INT64, INT64.map(DecimalUnits), INT64.map(Instant)),
    max_size=8,
)


@given(st.text(max_size=256), FIELDS, st.integers(0, 2**60))
def test_a_product_and_an_entry_of_it(product_id: str, fields: dict[str, Scalar], now_us: int) -> None:
    raw = product_bytes(product_id, fields)
    product = facts_pb2.Product(
        product_id=product_id, fields={name: value_to_proto(value) for name, value in fields.items()}
    )
    assert facts_pb2.Product.FromString(raw) == product
    assert raw == product_bytes(product_id, dict(reversed(fields.items()))), "in whatever order they came"

    entry = StagedEntry([fact_bytes("feed:a:1:1", now_us, raw), fact_bytes("feed:a:1:2", 1, raw)])
    entry.restamp(now_us)
    assert entry.received_from(now_us + 7) == now_us + 7
    batch = facts_pb2.AcceptedBatch.FromString(entry.payload())
    assert [fact.id for fact in batch.facts] == ["feed:a:1:1", "feed:a:1:2"]
    assert [fact.received_at_us for fact in batch.facts] == [now_us + 7] * 2
    assert batch.facts[0].occurred_at_us == now_us
    assert batch.facts[0].product == product
