"""Rules that every log shares: how leases are named, what a fence guards, and the errors of the contract."""

from __future__ import annotations

from core.errors import CdpError, conflict, invalid, not_found
from core.eventlog.protocol import Commit, Fence, Partition

BUCKETS = 256


def lease_name(service: str, bucket: int) -> str:
    """The lease of `service` on all its partitions in `bucket`: `profile_unification:17`.

    The bucket is in the name so that the lease shares a cluster slot with the state that it guards.
    """
    name = f"{service}:{bucket}"
    split_lease(name)
    return name


def split_lease(lease: str) -> tuple[str, int]:
    """(service, bucket) of a lease name `<service>:<bucket>`, bucket 0 to 255 in plain decimal.

    Everything before the last colon is the service, so one service may hold several kinds of lease in a bucket.
    Raises INVALID/BAD_LEASE_NAME for anything else.
    """
    service, colon, digits = lease.rpartition(":")
    plain = digits.isascii() and digits.isdigit() and str(int(digits)) == digits
    if not (service and colon and plain and int(digits) < BUCKETS):
        raise invalid("BAD_LEASE_NAME", f"a lease is named '<service>:<bucket 0 to 255>', got {lease!r}")
    return service, int(digits)


def check_fence(partition: Partition, fence: Fence) -> None:
    """Refuse a fence of another bucket: its lease lies elsewhere on a cluster (INVALID/FENCE_OF_OTHER_BUCKET)."""
    _, bucket = split_lease(fence.lease)
    if bucket != partition.bucket:
        raise invalid(
            "FENCE_OF_OTHER_BUCKET",
            f"the fence {fence.lease!r} guards bucket {bucket}, the partition lies in bucket {partition.bucket}",
        )


def source_of(commit: Commit) -> tuple[str, int] | None:
    """(source, position) of a commit, None without an upstream; half of it is refused (INVALID/BAD_SOURCE)."""
    if commit.source is None and commit.source_position is None:
        return None
    if not commit.source or commit.source_position is None or not 0 < commit.source_position < 2**53:
        raise invalid(
            "BAD_SOURCE",
            "a commit names its source and a position of 1 to 2^53 - 1, or neither; "
            f"got {commit.source!r} and {commit.source_position!r}",
        )
    return commit.source, commit.source_position


def fenced(fence: Fence, newest: int) -> CdpError:
    """The error of a writer whose lease has moved on; `newest` is 0 for a lease that nobody ever took."""
    return conflict("FENCED", f"the lease {fence.lease} is at epoch {newest}, the writer's is {fence.epoch}")


def trimmed(partition: Partition, wanted: int, first: int) -> CdpError:
    """The error of a read of position `wanted`, below the first kept one."""
    return not_found(
        "LOG_TRIMMED",
        f"{partition.service} of {partition.workspace} begins at position {first}, {wanted} is gone; "
        "start over from a snapshot or the archive",
    )
