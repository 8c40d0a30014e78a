"""OrdersService: what users trade, over the same desk as the REST API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import msgspec

from openbell.adapters.buses.base import Message
from openbell.proto.v1 import orders_service_pb2 as pb
from openbell.proto.v1.orders_service_pb2_grpc import OrdersServiceServicer
from openbell.services.gateway.backstage import Backstage
from openbell.services.gateway.trading import Desk
from openbell.services.rpc.callers import caller
from openbell.services.rpc.outboxes import Fan
from openbell.services.rpc.records import FORCES, SIDES, TYPES, count_of, order_message, text_of, word_of
from openbell.services.topics.names import VIEWS
from openbell.services.views import NewOrder

ORDERS, ORDERS_MAX = 100, 2_000
#: Orders that a stream begins with.
FIRST_MAX = 200
REQUEST_MAX = 255


class OrdersServicer(OrdersServiceServicer):
    """See `orders_service.proto`."""

    def __init__(self, backstage: Backstage) -> None:
        self._desk = Desk(backstage)
        self._portfolio, self._owners = backstage.portfolio, backstage.owners
        self._changes = Fan[pb.OrderState](backstage.bus, VIEWS, _order)

    async def SubmitOrder(
        self, request: pb.SubmitOrderRequest, context: grpc.aio.ServicerContext[pb.SubmitOrderRequest, pb.SubmitOrderResponse]
    ) -> pb.SubmitOrderResponse:
        """Place an order of the caller's."""
        asked = {
            "symbol": request.symbol, "side": word_of("side", SIDES, request.side), "quantity": request.quantity,
            "type": word_of("type", TYPES, request.type, "market"),
            "time_in_force": word_of("time in force", FORCES, request.time_in_force, "gtc"),
            "limit_price": request.limit_price if request.HasField("limit_price") else None,
            "stop_price": request.stop_price if request.HasField("stop_price") else None,
        }  # fmt: skip
        key = text_of("id of the request", request.request_id, REQUEST_MAX) or None
        order = await self._desk.submit(caller(), msgspec.convert(asked, NewOrder), key)
        return pb.SubmitOrderResponse(order=order_message(order))

    async def CancelOrder(
        self, request: pb.CancelOrderRequest, context: grpc.aio.ServicerContext[pb.CancelOrderRequest, pb.CancelOrderResponse]
    ) -> pb.CancelOrderResponse:
        """Cancel an open order."""
        return pb.CancelOrderResponse(order=order_message(await self._desk.cancel(caller(), text_of("id", request.id, 100))))

    async def GetOrders(
        self, request: pb.GetOrdersRequest, context: grpc.aio.ServicerContext[pb.GetOrdersRequest, pb.GetOrdersResponse]
    ) -> pb.GetOrdersResponse:
        """A page of orders."""
        visible = await self._owners.chosen(caller(), text_of("owner", request.owner))
        limit = count_of("limit", request.limit, ORDERS, ORDERS_MAX)
        found, after = self._portfolio.page(limit, visible, text_of("after", request.after, 512))
        return pb.GetOrdersResponse(orders=map(order_message, found), next=after)

    async def StreamOrders(
        self, request: pb.StreamOrdersRequest, context: grpc.aio.ServicerContext[pb.StreamOrdersRequest, pb.StreamOrdersResponse]
    ) -> AsyncIterator[pb.StreamOrdersResponse]:
        """The newest orders, then every change."""
        asks = caller()
        async with self._changes.listen() as outbox:
            visible = await self._owners.visible(asks)
            yield pb.StreamOrdersResponse(orders=[order_message(order) for order in reversed(self._portfolio.orders(FIRST_MAX, visible))])
            while True:
                found = await outbox.take()
                visible = await self._owners.visible(asks)
                own = [order for order in found if visible is None or order.strategy in visible]
                if own:
                    yield pb.StreamOrdersResponse(orders=own)


def _order(message: Message) -> tuple[pb.OrderState, str] | None:
    """An order that changed, as it is now: the record of it goes on changing."""
    channel, thing = message.payload[:2]
    return (order_message(thing), "") if channel == "orders" else None
