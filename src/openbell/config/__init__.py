"""Settings: read once at the start, then frozen. What there is stands in `settings`, where values come from in `sources`."""

from openbell.config.settings import (
    AngelSettings,
    BusSettings,
    DatabaseSettings,
    FeedSettings,
    GrpcSettings,
    KafkaSettings,
    LoggingSettings,
    MetricsSettings,
    NotifySettings,
    RabbitSettings,
    RedisSettings,
    SecretsSettings,
    ServerSettings,
    Settings,
    StrategySettings,
    TradingSettings,
)
from openbell.config.sources import load_settings, setting_paths

__all__ = [
    "AngelSettings",
    "BusSettings",
    "DatabaseSettings",
    "FeedSettings",
    "GrpcSettings",
    "KafkaSettings",
    "LoggingSettings",
    "MetricsSettings",
    "NotifySettings",
    "RabbitSettings",
    "RedisSettings",
    "SecretsSettings",
    "ServerSettings",
    "Settings",
    "StrategySettings",
    "TradingSettings",
    "load_settings",
    "setting_paths",
]
