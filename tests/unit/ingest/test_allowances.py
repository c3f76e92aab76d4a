"""A key's limits at both doors, a browser's key and its origins, a new secret, and what was used."""

from __future__ import annotations

import grpc
import pytest

from cdp.ingest.v1 import ingest_pb2
from cdp.workspace.v1 import workspace_pb2 as pb
from core.clock import DAY_US, SECOND_US
from services.runtime.errors import from_rpc
from tests.unit.ingest.house import House

Metadata = tuple[tuple[str, str], ...]


async def key_of(house: House, **wanted: object) -> tuple[pb.Key, str]:
    """A new write key and its secret."""
    request = pb.CreateKeyRequest(scope=pb.SCOPE_WRITE, **wanted)  # type: ignore[arg-type]
    made = await house.keys.CreateKey(request, metadata=house.metadata)
    return made.key, made.secret


def batch(house: House, n: int, tag: str) -> list[ingest_pb2.BatchItem]:
    """`n` events with ids of their own."""
    items = []
    for i in range(n):
        event = ingest_pb2.Event(type="site_visited", message_id=f"{tag}-{i}")
        event.identifiers.add(kind="external_id", value="ann")
        items.append(ingest_pb2.BatchItem(event=event))
    return items


def bearer(secret: str) -> Metadata:
    """Metadata of a call by a key."""
    return (("authorization", f"Bearer {secret}"),)


async def test_a_rate_refuses_whole_batches_with_the_time_to_wait(house: House) -> None:
    _, secret = await key_of(house, limits=pb.Limits(events_per_s=10, burst=10))
    await house.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=batch(house, 8, "a")), metadata=bearer(secret))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ingest.IngestBatch(
            ingest_pb2.IngestBatchRequest(items=batch(house, 5, "b")), metadata=bearer(secret)
        )
    error = from_rpc(refused.value)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.reason == "RATE_LIMITED"
    assert error.retry_after_s == pytest.approx(0.3, abs=0.01)
    assert len(await house.events()) == 8, "nothing of a refused batch is taken"
    document = {"batch": [{"type": "track", "event": "x", "userId": "ann"}] * 5}
    answer = await house.http.post("/v1/batch", json=document, auth=(secret, ""))
    assert (answer.status_code, answer.json()["reason"]) == (429, "RATE_LIMITED")
    assert answer.headers["retry-after"] == "1"
    house.clock.advance(SECOND_US)
    answer = await house.http.post("/v1/batch", json=document, auth=(secret, ""))
    assert answer.status_code == 200
    assert len(await house.events()) == 13
    # The development key has no limits.
    await house.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=batch(house, 50, "c")), metadata=house.metadata)


async def test_a_quota_counts_both_doors_and_ends_with_the_day(house: House) -> None:
    key, secret = await key_of(house, limits=pb.Limits(events_per_day=10))
    for n in range(4):
        call = {"event": "x", "userId": "ann", "messageId": f"h{n}"}
        assert (await house.http.post("/v1/track", json=call, auth=(secret, ""))).status_code == 200
    for n in range(3):
        request = ingest_pb2.TrackRequest(event=batch(house, 1, f"g{n}")[0].event)
        await house.ingest.Track(request, metadata=bearer(secret))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        items = batch(house, 40, "large")
        await house.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=items), metadata=bearer(secret))
    assert from_rpc(refused.value).reason == "QUOTA_SPENT"
    await house.ingest.IngestBatch(
        ingest_pb2.IngestBatchRequest(items=batch(house, 3, "rest")), metadata=bearer(secret)
    )
    answer = await house.http.post("/v1/track", json={"event": "x", "userId": "ann"}, auth=(secret, ""))
    assert (answer.status_code, answer.json()["reason"]) == (429, "QUOTA_SPENT")
    assert int(answer.headers["retry-after"]) == 12 * 3600, "until midnight UTC"
    house.clock.advance(DAY_US // 2)
    answer = await house.http.post("/v1/track", json={"event": "x", "userId": "ann"}, auth=(secret, ""))
    assert answer.status_code == 200
    used = {(use.key_id, use.items) for one in await house.batches() for use in one.uses}
    assert sum(items for key_id, items in used if key_id == key.id) > 0
    assert sum(use.items for one in await house.batches() for use in one.uses if use.key_id == key.id) == 11


async def test_the_operator_limits_a_workspace_as_a_whole(house: House) -> None:
    request = pb.LimitWorkspaceRequest(id="dev", limits=pb.Limits(events_per_s=5, burst=5))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.workspaces.LimitWorkspace(request, metadata=house.metadata)
    assert from_rpc(refused.value).reason == "SCOPE_TOO_NARROW"
    answer = await house.workspaces.LimitWorkspace(request, metadata=house.internal)
    assert answer.workspace.limits.events_per_s == 5
    taken, waits = 0, []
    for n in range(8):
        _, secret = await key_of(house)
        try:
            request_n = ingest_pb2.TrackRequest(event=batch(house, 1, f"k{n}")[0].event)
            await house.ingest.Track(request_n, metadata=bearer(secret))
            taken += 1
        except grpc.aio.AioRpcError as error:
            waits.append(from_rpc(error).reason)
    assert (taken, waits) == (5, ["RATE_LIMITED"] * 3)


async def test_a_browsers_key_works_in_its_pages_only(house: House) -> None:
    key, secret = await key_of(house, origins=["https://shop.example"])
    call = {"event": "x", "userId": "ann", "writeKey": secret}
    for origin, status in (("https://shop.example", 200), ("https://evil.example", 403), (None, 403)):
        headers = {"origin": origin} if origin else {}
        answer = await house.http.post("/v1/track", json=call, headers=headers)
        assert answer.status_code == status, (origin, answer.text)
        if status == 403:
            assert answer.json()["reason"] == "ORIGIN_NOT_ALLOWED"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ingest.Track(ingest_pb2.TrackRequest(), metadata=bearer(secret))
    assert from_rpc(refused.value).reason == "BROWSER_KEY"
    update = pb.UpdateKeyRequest(
        id=key.id, origins=pb.UpdateKeyRequest.Origins(values=["https://shop.example", "https://evil.example"])
    )
    changed = await house.keys.UpdateKey(update, metadata=house.metadata)
    assert list(changed.key.origins) == ["https://shop.example", "https://evil.example"]
    answer = await house.http.post("/v1/track", json=call, headers={"origin": "https://evil.example"})
    assert answer.status_code == 200


async def test_a_new_secret_and_the_grace_of_the_former(house: House) -> None:
    key, secret = await key_of(house)
    made = await house.keys.RotateKey(pb.RotateKeyRequest(id=key.id, grace_s=60), metadata=house.metadata)
    assert made.secret != secret
    call = {"event": "x", "userId": "ann"}
    for one in (secret, made.secret):
        assert (await house.http.post("/v1/track", json=call, auth=(one, ""))).status_code == 200
    house.clock.advance(60 * SECOND_US)
    assert (await house.http.post("/v1/track", json=call, auth=(secret, ""))).status_code == 401
    assert (await house.http.post("/v1/track", json=call, auth=(made.secret, ""))).status_code == 200
    records = await house.workspaces.ListAuditRecords(pb.ListAuditRecordsRequest(), metadata=house.metadata)
    assert "rotated" in [record.action for record in records.records]
    assert made.secret not in str(records)
