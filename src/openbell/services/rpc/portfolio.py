"""PortfolioService: the accounts that whoever calls may see."""

from __future__ import annotations

import grpc.aio

from openbell.model.time import MILLISECOND
from openbell.proto.v1 import portfolio_service_pb2 as pb
from openbell.proto.v1.portfolio_service_pb2_grpc import PortfolioServiceServicer
from openbell.services.gateway.backstage import Backstage
from openbell.services.rpc.callers import caller
from openbell.services.rpc.records import count_of, fill_message, position_message, text_of

EXECUTIONS_MAX = 1_000
POINTS, POINTS_MAX = 2_000, 10_000


class PortfolioServicer(PortfolioServiceServicer):
    """See `portfolio_service.proto`."""

    def __init__(self, backstage: Backstage) -> None:
        self._portfolio, self._owners = backstage.portfolio, backstage.owners

    async def GetPortfolio(
        self, request: pb.GetPortfolioRequest, context: grpc.aio.ServicerContext[pb.GetPortfolioRequest, pb.GetPortfolioResponse]
    ) -> pb.GetPortfolioResponse:
        """The accounts at the latest prices."""
        visible = await self._owners.chosen(caller(), text_of("owner", request.owner))
        found = self._portfolio.portfolio(count_of("executions", request.executions, 0, EXECUTIONS_MAX), visible)
        return pb.GetPortfolioResponse(
            currency=found.currency, cash=found.cash, equity=found.equity, initial_cash=found.initial_cash,
            realised_pnl=found.realised_pnl, unrealised_pnl=found.unrealised_pnl, fees=found.fees, ts=found.ts * MILLISECOND,
            positions=map(position_message, found.positions), executions=map(fill_message, found.executions or ()),
        )  # fmt: skip

    async def GetEquity(
        self, request: pb.GetEquityRequest, context: grpc.aio.ServicerContext[pb.GetEquityRequest, pb.GetEquityResponse]
    ) -> pb.GetEquityResponse:
        """What they were worth."""
        visible = await self._owners.chosen(caller(), text_of("owner", request.owner))
        points = self._portfolio.equity(count_of("limit", request.limit, POINTS, POINTS_MAX), visible)
        return pb.GetEquityResponse(ts=[ts * MILLISECOND for ts, _ in points], equity=[equity for _, equity in points])
