"""Logs and metrics: one canonical line for each thing that happened, and the counters that Prometheus reads."""

import logging
import sys
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openbell.config import LoggingSettings

STEP_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)


def configure_logging(settings: LoggingSettings) -> None:
    """Key=value lines on stderr for a terminal, JSON lines otherwise; standard-library loggers (uvicorn) come out the same way."""
    console = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(settings.level)  # again here, where a line's own filters have changed its level
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level)
    for noisy in ("asyncio", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class Metrics:
    """The figures of one platform, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"openbell_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"openbell_{name}", text, labels, registry=self.registry)

        self.events = counter("events", "Events stepped")
        self.step_seconds = Histogram(
            "openbell_step_seconds", "A batch, from taking it to its commands being out", registry=self.registry, buckets=STEP_BUCKETS
        )
        self.kernel = gauge("kernel", "Counters of the kernel since the start of the run", "what")
        self.equity = gauge("equity", "Worth of all accounts, in the accounts' currency")
        self.processed = gauge("service_processed", "What a service has dealt with", "service")
        self.up = gauge("service_up", "1 while a service runs or has done its work", "service")
        self.queue = gauge("service_queue_messages", "Messages waiting for a service", "service")
        self.lag = gauge("service_lag_seconds", "How far a service is behind", "service")
        self.bus = gauge("bus_messages", "What became of a topic's messages", "topic", "fate")
        self.clients = gauge("stream_clients", "WebSocket clients")
        self.stream_slow = counter("stream_slow", "How often a client's line was full, and it got the newest prices only")
        self.stream_replaced = counter("stream_replaced", "Messages that a slow client did not get because of newer ones")
        self.stream_sent_away = counter("stream_sent_away", "WebSocket clients that had to go", "code")
        self.requests = counter("http_requests", "Requests answered", "method", "status")
        self.calls = counter("grpc_calls", "gRPC calls answered", "method", "code")

    def on_step(self, events: int, seconds: float) -> None:
        """Note one batch."""
        self.events.inc(events)
        self.step_seconds.observe(seconds)

    def note(self, service: str, up: bool, processed: int, queue: int, lag_ms: float | None) -> None:
        """How a service stands."""
        self.processed.labels(service).set(processed)
        self.up.labels(service).set(up)
        self.queue.labels(service).set(queue)
        self.lag.labels(service).set((lag_ms or 0.0) / 1000.0)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
