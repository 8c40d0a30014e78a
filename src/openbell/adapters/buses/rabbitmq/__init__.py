"""RabbitMQ: `bus` is the bus itself, `topology` what stands on the server, `dead_letters` what nobody could deal with."""

from openbell.adapters.buses.rabbitmq.bus import RabbitBus

__all__ = ["RabbitBus"]
