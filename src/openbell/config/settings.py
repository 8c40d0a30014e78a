"""The settings themselves: one frozen structure a section, each field with its type and its default."""

from typing import Annotated, Literal

import msgspec

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535, description="a port from 0 to 65535")]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
Amount = Annotated[float, msgspec.Meta(ge=0.0, lt=1e15, description="a finite number, 0 or more")]
Address = Annotated[str, msgspec.Meta(pattern=r"^$|^\S*:\d{1,5}$", description="host:port, :port, or nothing")]
Host = Annotated[
    str, msgspec.Meta(pattern=r"^[^\s@]+$", description="a host name or address; a user and a password have settings of their own")
]
Servers = Annotated[
    str, msgspec.Meta(pattern=r"^[^@]+$", description="host:port, several with commas; a user and a password have settings of their own")
]
Speed = Annotated[str, msgspec.Meta(pattern=r"^(max|\d+(\.\d+)?x?)$", description="a number such as 2 or 0.5x, or max")]
Rate = Annotated[
    str, msgspec.Meta(pattern=r"^(off|[1-9]\d{0,8}/(second|minute|hour))$", description="a number a second, minute or hour, or off")
]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="letters, digits, and . _ -")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of settings. Its text never shows a secret, so that it may be logged."""

    def __repr__(self) -> str:
        shown = (f"{name}={'***' if name in SECRETS and value else repr(value)}" for name, value in msgspec.structs.asdict(self).items())
        return f"{type(self).__name__}({', '.join(shown)})"


#: Accounts for the orders of users, where they sign in and the settings do not say.
USER_ACCOUNTS = 8
SECRETS = {"password", "api_key", "client_code", "totp_secret", "key"}


class ServerSettings(Section, frozen=True):
    """The gateway. Without `sign_in` whoever reaches it is the user `local` and may do everything, so that only this machine may reach it.

    An address that others can reach needs `sign_in`, and TLS or a proxy that has it; or `public`, which says that something else in front
    of it, such as the port mapping of a container, keeps others away.
    """

    host: Host = "127.0.0.1"
    port: Port = 8081
    public: bool = False
    allowed_hosts: tuple[str, ...] = ()  # names besides the loopback ones under which a browser may reach us
    sign_in: bool = False  # whether users have to sign in
    sign_up: Literal["closed", "open"] = "closed"  # whether everybody may make an account, with the role viewer
    tls_cert: str = ""  # file of the certificate and those up to its root, PEM
    tls_key: str = ""  # file of its key, PEM
    proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed, such as 10.0.0.0/8
    cors_origins: tuple[str, ...] = ()  # other sites whose pages may use the API, such as https://charts.example.com
    rate_limit: Rate = "1200/minute"  # requests of one user
    rate_limit_address: Rate = "3000/minute"  # requests of one address, whoever sends them
    stream_clients: Count = 10_000  # WebSockets at the same time, as far as there are open files for them


class BusSettings(Section, frozen=True):
    """What carries messages between services. All in one process by default; services in processes of their own need the servers."""

    market: Literal["inprocess", "kafka", "rabbitmq", "redis"] = "inprocess"  # ticks, and what the traders decide
    orders: Literal["inprocess", "rabbitmq"] = "inprocess"  # orders, executions, what users ask for
    control: Literal["inprocess", "redis"] = "inprocess"  # typed control messages, and what is only shown
    partitions: Count = 4  # of a topic of market data
    namespace: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{0,32}$", description="letters, digits, and . _ -")] = (
        ""  # begins every name
    )


class KafkaSettings(Section, frozen=True):
    """The Kafka cluster: `host:port`, several with commas."""

    servers: Servers = "localhost:9092"
    user: str = ""
    password: str = ""
    tls: bool = False
    mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] = "SCRAM-SHA-512"  # how the user proves who it is; PLAIN needs tls


class RabbitSettings(Section, frozen=True):
    """The RabbitMQ server."""

    host: Host = "localhost"
    port: Port = 5672
    user: str = "guest"
    password: str = "guest"
    virtual_host: Host = "/"
    tls: bool = False


class DatabaseSettings(Section, frozen=True):
    """Where candles, orders and journals are kept: SQLite files, or one PostgreSQL database for processes on several machines."""

    engine: Literal["sqlite", "postgresql"] = "sqlite"
    host: Host = "localhost"
    port: Port = 5432
    user: str = "openbell"
    password: str = ""
    name: str = "openbell"
    sqlite_path: str = "data/candles.db"


class RedisSettings(Section, frozen=True):
    """The Redis server of a platform that runs in several processes."""

    host: Host = "localhost"
    port: Port = 6379
    password: str = ""
    tls: bool = False


class GrpcSettings(Section, frozen=True):
    """The API as gRPC: `openbell serve alerts` answers on `alerts_addr`, which is also where gateways look for it, and gateways on `addr`.

    The platform in one process answers on `addr`, all of it, when it is `enabled`. An address that others can reach needs TLS, and
    `server.sign_in` or `tls_ca`: who calls without being a user then has to show a certificate that this authority signed.
    """

    enabled: bool = False  # of the platform in one process
    addr: Address = "127.0.0.1:50052"
    alerts_addr: Address = "127.0.0.1:50051"
    reflection: bool = False  # tells who asks which methods there are
    tls_cert: str = ""  # file of the certificate and those up to its root, PEM; also shown by gateways to the alerts service
    tls_key: str = ""  # file of its key, PEM
    tls_ca: str = ""  # file of the authority that signs the certificates of services, PEM


class MetricsSettings(Section, frozen=True):
    """Prometheus metrics: `host:port`, the host 127.0.0.1 when it is left out; empty for none."""

    addr: Address = ":9090"


class LoggingSettings(Section, frozen=True):
    """`format` is `console`, `json`, or `auto`: console on a terminal, JSON otherwise."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "console", "json"] = "auto"


class FeedSettings(Section, frozen=True):
    """Where market data comes from: `simulated`, `recorded` (the shipped session), or the path of a file of ticks."""

    source: str = "simulated"
    speed: Speed = "1"  # times real time, or `max`
    seed: Count = 1


class StrategySettings(Section, frozen=True):
    """One strategy at work. `strategy` is a shipped name or a file, by default the id itself."""

    id: Name
    strategy: str = ""
    enabled: bool = True
    symbols: tuple[str, ...] = ()
    timeframe: str = "1m"
    params: dict[str, float] = {}
    cash: Amount = 100_000.0
    limits: dict[str, float | None] = {}  # over the defaults of openbell.model.plan.Limits
    trader: Name = "main"  # the process that trades it, where traders are several
    owner: str = ""  # the user who sees and steers it, besides administrators, where users sign in


class TradingSettings(Section, frozen=True):
    """The bus, the journal, the venue, and the strategies."""

    event_bus_buffer: Count = 1000
    data_dir: str = "data"
    fee_bps: Amount = 10.0
    fill: Literal["next", "prevailing", "outside"] = "next"  # at the next event, at the price that stands, or by `openbell serve orders`
    timeframes: tuple[str, ...] = ("1s", "5s", "1m", "5m")
    strategies: tuple[StrategySettings, ...] = ()
    user_accounts: Annotated[int, msgspec.Meta(ge=0, le=256, description="a whole number from 0 to 256")] = (
        0  # for the orders of users, each his own; USER_ACCOUNTS where users sign in and nothing is said
    )


class SecretsSettings(Section, frozen=True):
    """What seals the secrets in the database: keys of 32 bytes as base64, the newest first, with commas. Empty: those of `secrets.key`.

    That file is in `trading.data_dir`, and is made when it is needed. Platforms that share a database share the key.
    """

    key: str = ""


class AngelSettings(Section, frozen=True):
    """Credentials of Angel One, and what to subscribe to there (`exchange_type:token`)."""

    api_key: str = ""
    client_code: str = ""
    password: str = ""
    totp_secret: str = ""
    subscribe_tokens: tuple[str, ...] = ("1:99926000",)


class NotifySettings(Section, frozen=True):
    """Notifications. Channels are not settings: users make them (`openbell notify channels add`)."""

    allow_private: bool = False  # whether a channel may lead to an address that is not one of the internet
    storm: Count = 20  # more messages than this that wait for a channel become one
    waiting: Count = 20_000  # messages that wait for a channel, at most; beyond that the least important are dropped, and counted
    keep_days: Count = 30  # of the log


class AnalyticsSettings(Section, frozen=True):
    """Analytics. The hours of the market say when a session begins, and how many periods a year has; `continuous` never closes."""

    session: Literal["continuous", "us", "us_extended", "india", "london", "frankfurt", "tokyo", "hong_kong"] = "continuous"


class Settings(Section, frozen=True):
    """All settings of one process."""

    server: ServerSettings = ServerSettings()
    bus: BusSettings = BusSettings()
    kafka: KafkaSettings = KafkaSettings()
    rabbitmq: RabbitSettings = RabbitSettings()
    database: DatabaseSettings = DatabaseSettings()
    redis: RedisSettings = RedisSettings()
    grpc: GrpcSettings = GrpcSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    feed: FeedSettings = FeedSettings()
    trading: TradingSettings = TradingSettings()
    angel: AngelSettings = AngelSettings()
    secrets: SecretsSettings = SecretsSettings()
    notify: NotifySettings = NotifySettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
