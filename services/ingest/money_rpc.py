"""MoneyService: convert, store, convert."""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc

from cdp.money.v1 import money_pb2 as pb
from cdp.money.v1 import money_pb2_grpc
from core.errors import Violation, invalid
from core.events.checks import Bad, clean_instant
from core.money.rates import BAD_RATE, Rate, checked_rate
from services.ingest.rates_store import RatesStore
from services.ingest.ways import Ways
from services.runtime.caller import Scope, caller
from services.runtime.pages import bad_page_token, page_entries
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

MOST_AT_ONCE = 1_000

_SCOPES = {"SetRates": Scope.FULL, "ListRates": Scope.READ}


class MoneyRpc(money_pb2_grpc.MoneyServiceServicer):
    """The rates of the caller's workspace. Every process answers, from the newest there are."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(money_pb2_grpc.add_MoneyServiceServicer_to_server, self)
        return GrpcService("cdp.money.v1.MoneyService", add, _SCOPES)

    async def SetRates(self, request: pb.SetRatesRequest, context: Context) -> pb.SetRatesResponse:
        """All of them, or none."""
        who = caller()
        if not 1 <= len(request.rates) <= MOST_AT_ONCE:
            what = f"1 to {MOST_AT_ONCE} at once, here are {len(request.rates)}"
            raise invalid(BAD_RATE, f"rates: {what}", Violation("rates", what))
        home = who.workspace.currency
        rates = []
        for number, one in enumerate(request.rates):
            path = f"rates[{number}]"
            instant = clean_instant(one.from_us)
            if isinstance(instant, Bad):
                raise invalid(BAD_RATE, f"{path}.from_us: {instant.description}",
                              Violation(f"{path}.from_us", instant.description))  # fmt: skip
            rates.append(checked_rate(one.currency, one.from_us, one.rate, home, path))
        table = await self._store().set(rates, who.key_id)
        return pb.SetRatesResponse(currency=home, version=table.version)

    async def ListRates(self, request: pb.ListRatesRequest, context: Context) -> pb.ListRatesResponse:
        """A page; the token names the last rate of it."""
        table = await self._store().read()
        rates = list(table.all(request.currency))
        start = _after(rates, request.page_token)
        page = rates[start : start + page_entries(request.page_size)]
        more = start + len(page) < len(rates)
        return pb.ListRatesResponse(
            rates=[pb.Rate(currency=one.currency, from_us=one.from_us, rate=one.text) for one in page],
            next_page_token=f"{page[-1].currency}.{page[-1].from_us}" if more else "",
            currency=table.home,
            version=table.version,
        )

    def _store(self) -> RatesStore:
        rates = self._ways.of(caller().workspace).rates
        assert rates is not None, "the ways of a process know rates"
        return rates


def _after(rates: list[Rate], token: str) -> int:
    """How many rates stand up to the one that `token` names; it may be gone or replaced meanwhile."""
    if not token:
        return 0
    currency, _, instant = token.partition(".")
    try:
        last = (currency, -int(instant))
    except ValueError:
        raise bad_page_token() from None
    return sum((one.currency, -one.from_us) <= last for one in rates)
