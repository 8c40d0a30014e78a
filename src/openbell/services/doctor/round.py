"""What the doctor looks at: every check by its group, and only the servers that are configured."""

import os
from functools import partial
from pathlib import Path

from openbell.config import Settings
from openbell.config.sources import DEFAULT_FILE, PREFIX
from openbell.services.doctor import (
    clock,
    configuration,
    disk,
    kafka,
    kernel,
    machine,
    ports,
    postgresql,
    rabbitmq,
    redis,
    sqlite_files,
    strategies,
    versions,
)
from openbell.services.doctor.examination import Check, Report, run, secrets_of
from openbell.services.doctor.finding import Finding, problem

#: The groups, in the order they are shown.
GROUPS = CONFIGURATION, SOFTWARE, PORTS, DATABASE, SERVERS, MACHINE, DISK = (
    "configuration", "software", "ports", "database", "servers", "machine", "disk",
)  # fmt: skip


def examine(file: Path | None = None) -> Report:
    """Look at this machine and at the configuration of the folder we are in. `file` is the YAML file in place of the usual one."""
    settings, found = configuration.read(file, os.environ)
    first = Check(CONFIGURATION, "settings", lambda: found)
    if settings is None:
        return run([first, Check(CONFIGURATION, "settings", _unread), *_of_the_machine()])
    name = str(file or os.environ.get(f"{PREFIX}CONFIG") or DEFAULT_FILE)
    checks = [first, *_of_the_settings(settings, name), *_of_the_machine()]
    return run(sorted(checks, key=lambda check: GROUPS.index(check.group)), secrets_of(settings))


def _of_the_settings(settings: Settings, file: str) -> list[Check]:
    """What depends on the configuration."""
    checks = [
        Check(CONFIGURATION, "settings together", partial(configuration.together, settings)),
        Check(CONFIGURATION, "secrets", partial(configuration.secret_files, Path())),
        Check(CONFIGURATION, "strategies", partial(strategies.strategies, settings, file)),
        Check(SOFTWARE, "extras", partial(versions.extras, settings)),
        Check(SOFTWARE, "kernel", partial(kernel.compiled, settings)),
        Check(DATABASE, "journal", partial(sqlite_files.journal, settings)),
        Check(DATABASE, "database", partial(sqlite_files.database, settings)),
        Check(PORTS, "server.port", partial(ports.gateway_port, settings)),
        Check(PORTS, "metrics.addr", partial(ports.metrics_port, settings)),
        Check(MACHINE, "files in use", partial(machine.files_in_use, settings)),
    ]
    servers = {
        "postgresql": Check(DATABASE, "PostgreSQL", partial(postgresql.database, settings)),
        "kafka": Check(SERVERS, "Kafka", partial(kafka.server, settings)),
        "rabbitmq": Check(SERVERS, "RabbitMQ", partial(rabbitmq.server, settings)),
        "redis": Check(SERVERS, "Redis", partial(redis.server, settings)),
    }
    checks += [servers[engine] for engine in versions.engines_of(settings)]
    checks += [Check(DISK, key, partial(disk.folder, key, path)) for key, path in disk.folders_of(settings).items()]
    return checks


def _of_the_machine() -> list[Check]:
    """What any configuration needs."""
    return [
        Check(SOFTWARE, "versions", versions.versions),
        Check(SOFTWARE, "compile cache", kernel.cache),
        Check(MACHINE, "open files", machine.file_limit),
        Check(MACHINE, "memory", machine.memory),
        Check(MACHINE, "processors", machine.processors),
        Check(MACHINE, "clock", clock.synchronised),
        Check(MACHINE, "time zones", clock.time_zones),
    ]


def _unread() -> list[Finding]:
    return [
        problem(
            "the rest",
            "not looked at: ports, folders and servers stand in the settings",
            "settings that can be read",
            "openbell doctor    # again, then",
        )
    ]
