"""Names of keys: the bucket is the hash tag, so that everything one script touches lies in one cluster slot."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from core.errors import invalid
from core.eventlog.protocol import Partition
from core.eventlog.rules import BUCKETS, split_lease


@lru_cache(maxsize=65_536)
def stream_key(partition: Partition) -> bytes:
    """The stream of entries, ids `<position>-0`, fields `t` (recorded_at_us) and `p` (payload)."""
    return _key("s", partition)


@lru_cache(maxsize=65_536)
def meta_key(partition: Partition) -> bytes:
    """A hash: `last`, `at` (last recorded_at_us), `first`, `epoch`, and `p:<source>` upstream positions."""
    return _key("m", partition)


@lru_cache(maxsize=65_536)
def table_key(partition: Partition, table: str) -> bytes:
    """One table of state, a hash."""
    return _key("t", partition) + b":" + quote(table, safe="").encode()


def lease_key(lease: str) -> bytes:
    """A hash: `owner`, `epoch`, `until` (server's microseconds). `ingest:17` lies at `{b17}lease:ingest`."""
    service, bucket = split_lease(lease)
    return b"{b%d}lease:%s" % (bucket, quote(service, safe="").encode())


def bucket_tag(bucket: int) -> bytes:
    """What a cluster hashes of every key of `bucket`."""
    return b"b%d" % bucket


def _key(kind: str, partition: Partition) -> bytes:
    if not 0 <= partition.bucket < BUCKETS:
        raise invalid("BAD_BUCKET", f"a bucket is 0 to {BUCKETS - 1}, got {partition.bucket}")
    # Quoted, so that no two partitions or tables can meet in one name.
    service, workspace = quote(partition.service, safe=""), quote(partition.workspace, safe="")
    return f"{{b{partition.bucket}}}{kind}:{service}:{workspace}".encode()
