"""What people ask about erasures: order one, and read what became of it."""

from __future__ import annotations

from google.longrunning import operations_pb2

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import CdpError, Code, Violation, conflict, invalid, not_found
from core.profile.merge_log import Outcome
from core.profile.profile import Profile
from core.profile.separate import NO_SUCH_CONTACT
from services.profile_unification.erasure_books import (
    NAME,
    ORDER,
    begun,
    certificate_of,
    load_certificates,
    load_jobs,
    operation_of,
)
from services.profile_unification.orders import asker, carry_out, order_id_of
from services.profile_unification.tables import load_outcome
from services.profile_unification.worker import UnificationShard
from services.runtime.context import Runtime
from services.runtime.pages import number_of, page_entries

_MAX_REASON = 500


class ErasureDesk:
    """The calls about erasures."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def known(
        self, shard: UnificationShard, request: profile_pb2.EraseRequest
    ) -> operations_pb2.Operation | None:
        """What an earlier request with the same id began."""
        if not request.request_id:
            return None
        outcome = await load_outcome(self._runtime.log, shard.partition, order_id_of("erase", request.request_id))
        return None if outcome is None else await self._operation(shard, ORDER + request.request_id, outcome)

    async def erase(
        self, shard: UnificationShard, request: profile_pb2.EraseRequest, person: Profile, wait_s: float
    ) -> operations_pb2.Operation:
        """Order `person` forgotten: out of every answer of this service when this returns. Raises INVALID / BAD_REASON,
        NOT_FOUND / NO_SUCH_CONTACT for somebody who is gone meanwhile."""
        if not 1 <= len(request.reason) <= _MAX_REASON:
            problem = Violation("reason", f"has 1 to {_MAX_REASON} characters")
            raise invalid("BAD_REASON", "say why the person is erased", problem)
        order_id = order_id_of("erase", request.request_id)
        order = facts_pb2.ErasureOrder(keys=[person.key], reason=request.reason, asked_by=asker())
        command = ingest_pb2.CommandRequest(message_id=order_id, erasure=order)
        outcome, _ = await carry_out(self._runtime, shard, command, wait_s)
        return await self._operation(shard, order_id, outcome)

    async def get(self, shard: UnificationShard, name: str) -> operations_pb2.Operation:
        """One operation. Raises NOT_FOUND / NO_SUCH_ERASURE."""
        found = None
        if name.startswith(NAME):
            found = await certificate_of(self._runtime.log, shard.partition, ORDER + name.removeprefix(NAME))
        if found is None:
            raise not_found("NO_SUCH_ERASURE", "there is no such erasure in this workspace")
        return operation_of(found)

    async def page(
        self, shard: UnificationShard, request: profile_pb2.ListErasuresRequest
    ) -> profile_pb2.ListErasuresResponse:
        """Erasures, the latest order first. Pages are of the list as it is at each call."""
        log, partition = self._runtime.log, shard.partition
        found = {order_id: begun(people) for order_id, people in (await load_jobs(log, partition)).items()}
        found |= await load_certificates(log, partition)
        newest = sorted(found.values(), key=lambda one: (one.upstream_position, one.name), reverse=True)
        start = number_of(request.page_token) if request.page_token else 0
        page = newest[start : start + page_entries(max(0, request.page_size))]
        token = str(start + len(page)) if start + len(page) < len(newest) else ""
        return profile_pb2.ListErasuresResponse(operations=[operation_of(one) for one in page], next_page_token=token)

    async def _operation(self, shard: UnificationShard, order_id: str, outcome: Outcome) -> operations_pb2.Operation:
        if outcome.reason == NO_SUCH_CONTACT:
            raise not_found(outcome.reason, outcome.detail)
        if outcome.reason:
            raise conflict(outcome.reason, outcome.detail)
        certificate = await certificate_of(self._runtime.log, shard.partition, order_id)
        if certificate is None:
            raise CdpError(Code.INTERNAL, "NO_CERTIFICATE", "the order was carried out, but nothing says how")
        return operation_of(certificate)
