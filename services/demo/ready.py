"""Ready scenarios of the platform, saved by the same calls as anybody's own, on a time scale."""

from __future__ import annotations

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, Client, DemoError, again
from services.demo.time_scale import TimeScale


async def save_ready(client: Client, number: str, scale: TimeScale) -> scenario_pb2.Scenario:
    """Save the ready scenario `number` ("N3") with what it needs, and return it as saved. Saved again it is the next
    version. Raises DemoError when there is no such one."""
    shipped = await client.scenario.ListReadyScenarios(
        scenario_pb2.ListReadyScenariosRequest(), metadata=client.metadata, timeout=CALL_S
    )
    ready = next((one for one in shipped.scenarios if one.id == number), None)
    if ready is None:
        raise DemoError(f"the platform ships no scenario {number}")
    await _save_needs(client, ready)
    convert = scenario_pb2.ConvertScenarioRequest(yaml=ready.yaml)
    read = await client.scenario.ConvertScenario(convert, metadata=client.metadata, timeout=CALL_S)
    save = scenario_pb2.SaveScenarioRequest(name=read.name, scenario=scale.scaled(read.scenario))
    saved = await client.scenario.SaveScenario(save, metadata=client.metadata, timeout=CALL_S)
    return saved.scenario


async def _save_needs(client: Client, ready: scenario_pb2.ReadyScenario) -> None:
    """Segments, templates and coupon pools."""
    for name, text in sorted(ready.segments.items()):
        segment = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
        await client.segment.SaveSegment(segment, metadata=client.metadata, timeout=CALL_S)
    for content in ready.contents:
        template = channel_pb2.SaveTemplateRequest(name=content.name, template=content.template)
        await client.messages.SaveTemplate(template, metadata=client.metadata, timeout=CALL_S)
    for pool in ready.coupon_pools:
        await _save_pool(client, pool)


async def _save_pool(client: Client, name: str) -> None:
    """A pool whose codes are made as they are needed, unless an earlier run of the demo left it."""
    coupons = coupon_pb2_grpc.CouponServiceStub(client.channel)
    get = coupon_pb2.GetPoolRequest(name=name)
    try:
        await again(lambda: coupons.GetPool(get, metadata=client.metadata, timeout=CALL_S))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        save = coupon_pb2.SavePoolRequest(pool=coupon_pb2.Pool(name=name, pattern="DEMO-######"))
        await again(lambda: coupons.SavePool(save, metadata=client.metadata, timeout=CALL_S))
