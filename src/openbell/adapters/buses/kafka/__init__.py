"""The bus over Apache Kafka."""

from openbell.adapters.buses.kafka.bus import KafkaBus

__all__ = ["KafkaBus"]
