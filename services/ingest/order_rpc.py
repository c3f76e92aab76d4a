"""OrderService: an order as its statuses were followed."""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc

from cdp.order.v1 import order_pb2 as pb
from cdp.order.v1 import order_pb2_grpc
from core.errors import invalid, not_found
from core.orders.codec import OrderRecord, decode_order
from services.ingest.order_shard import SOURCE, TABLE
from services.ingest.ways import Ways
from services.runtime.caller import Scope, caller
from services.runtime.context import Runtime
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

_SCOPES = {"GetOrder": Scope.READ}


class OrderRpc(order_pb2_grpc.OrderServiceServicer):
    """Every process answers, from what is durable."""

    def __init__(self, runtime: Runtime, ways: Ways) -> None:
        self._log = runtime.log
        self._ways = ways

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(order_pb2_grpc.add_OrderServiceServicer_to_server, self)
        return GrpcService("cdp.order.v1.OrderService", add, _SCOPES)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        """One order, or NOT_FOUND / NO_SUCH_ORDER."""
        if not 1 <= len(request.order_id) <= 200:
            raise invalid("BAD_ORDER", "order_id has 1 to 200 characters")
        partition = self._ways.of(caller().workspace).partition
        position = await self._log.source_position(partition, SOURCE)
        [stored] = await self._log.get(partition, TABLE, [request.order_id.encode()])
        if stored is None:
            raise not_found("NO_SUCH_ORDER", "there is no such order, or its statuses are not followed yet")
        return pb.GetOrderResponse(order=_to_proto(request.order_id, decode_order(stored)), position=position)


def _to_proto(order_id: str, record: OrderRecord) -> pb.Order:
    total = record.book.total_units if record.book.completed_at_us is not None else 0
    return pb.Order(
        order_id=order_id,
        statuses=[
            pb.OrderStatus(status=status, occurred_at_us=occurred, received_at_us=received)
            for status, occurred, received in sorted(record.statuses, key=lambda one: one[1])
        ],
        total_units=total,
        worth_units=total + sum(record.book.corrections().values()),
    )
