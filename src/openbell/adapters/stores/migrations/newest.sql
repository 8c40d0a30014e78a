-- The tables that all revisions together give in SQLite, so that a new file needs no alembic.
-- tests/unit/adapters/test_revisions.py holds this file to the revisions, and writes what it should hold.
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE IF NOT EXISTS candles (
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    ts BIGINT NOT NULL,
    open DOUBLE NOT NULL,
    high DOUBLE NOT NULL,
    low DOUBLE NOT NULL,
    close DOUBLE NOT NULL,
    volume DOUBLE NOT NULL,
    vwap DOUBLE,
    trades BIGINT NOT NULL,
    PRIMARY KEY (symbol, timeframe, ts)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    reader TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position BIGINT NOT NULL,
    cursor BLOB NOT NULL,
    state BLOB NOT NULL,
    updated BIGINT NOT NULL,
    CONSTRAINT progress_key PRIMARY KEY (reader, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    client_order_id TEXT NOT NULL,
    run TEXT NOT NULL,
    order_id BIGINT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    type TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    status TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    filled BIGINT NOT NULL,
    lot_size DOUBLE NOT NULL,
    limit_price DOUBLE,
    stop_price DOUBLE,
    average_price DOUBLE,
    reason TEXT,
    created BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (client_order_id)
);
CREATE INDEX IF NOT EXISTS orders_by_time ON orders (created, client_order_id);
CREATE TABLE IF NOT EXISTS executions (
    run TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    strategy TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    lot_size DOUBLE NOT NULL,
    price DOUBLE NOT NULL,
    fee BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (run, execution_id)
);
CREATE INDEX IF NOT EXISTS executions_by_order ON executions (client_order_id);
CREATE INDEX IF NOT EXISTS executions_by_time ON executions (ts, run, execution_id);
CREATE TABLE IF NOT EXISTS users (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    email TEXT,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL,
    created BIGINT NOT NULL,
    display_name TEXT DEFAULT '' NOT NULL,
    time_zone TEXT DEFAULT 'UTC' NOT NULL,
    disabled BIGINT,
    totp BLOB,
    totp_new BLOB,
    totp_step BIGINT DEFAULT '0' NOT NULL,
    setup_hash BLOB,
    setup_expires BIGINT,
    signed_in BIGINT,
    failed BIGINT DEFAULT '0' NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);
CREATE UNIQUE INDEX IF NOT EXISTS users_by_setup ON users (setup_hash);
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER NOT NULL,
    user_id INTEGER,
    symbol TEXT NOT NULL,
    target_price DOUBLE NOT NULL,
    condition TEXT NOT NULL,
    status TEXT NOT NULL,
    created BIGINT NOT NULL,
    triggered_ts BIGINT,
    triggered_price DOUBLE,
    revision BIGINT DEFAULT '0' NOT NULL,
    spec TEXT DEFAULT '' NOT NULL,
    mode TEXT DEFAULT 'once' NOT NULL,
    cooldown_s DOUBLE DEFAULT '0' NOT NULL,
    hysteresis DOUBLE DEFAULT '0' NOT NULL,
    expires BIGINT,
    schedule TEXT DEFAULT '' NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    armed BIGINT,
    fired BIGINT DEFAULT '0' NOT NULL,
    triggered_value DOUBLE,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS alerts_by_symbol ON alerts (symbol, status, id);
CREATE INDEX IF NOT EXISTS alerts_by_revision ON alerts (revision);
CREATE INDEX IF NOT EXISTS alerts_by_owner ON alerts (coalesce(user_id, 0), id);
CREATE TABLE IF NOT EXISTS alert_events (
    alert_id INTEGER NOT NULL,
    number BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    user_id INTEGER,
    symbol TEXT NOT NULL,
    condition TEXT NOT NULL,
    target_price DOUBLE NOT NULL,
    spec TEXT NOT NULL,
    note TEXT NOT NULL,
    ts BIGINT NOT NULL,
    value DOUBLE NOT NULL,
    price DOUBLE,
    reader TEXT NOT NULL,
    partition INTEGER NOT NULL,
    told BIGINT,
    PRIMARY KEY (alert_id, number),
    FOREIGN KEY(alert_id) REFERENCES alerts (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS alert_events_by_seq ON alert_events (seq);
CREATE INDEX IF NOT EXISTS alert_events_by_owner ON alert_events (coalesce(user_id, 0), seq);
CREATE INDEX IF NOT EXISTS alert_events_untold ON alert_events (seq) WHERE told IS NULL;
CREATE TABLE IF NOT EXISTS intents (
    reader TEXT NOT NULL,
    run TEXT NOT NULL,
    command BIGINT NOT NULL,
    client_order_id TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    instruction BLOB NOT NULL,
    PRIMARY KEY (reader, run, command)
);
CREATE INDEX IF NOT EXISTS intents_by_order ON intents (client_order_id);
CREATE INDEX IF NOT EXISTS intents_open ON intents (reader) WHERE state <> 'done';
CREATE TABLE IF NOT EXISTS answers (
    reader TEXT NOT NULL,
    number BIGINT NOT NULL,
    client_order_id TEXT NOT NULL,
    run TEXT NOT NULL,
    execution BLOB NOT NULL,
    PRIMARY KEY (reader, number)
);
CREATE INDEX IF NOT EXISTS answers_by_order ON answers (client_order_id);
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT NOT NULL,
    hash BLOB NOT NULL,
    user_id INTEGER NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL,
    proved BIGINT NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (hash),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS sessions_by_user ON sessions (user_id);
CREATE INDEX IF NOT EXISTS sessions_by_use ON sessions (used);
CREATE TABLE IF NOT EXISTS tickets (
    hash BLOB NOT NULL,
    origin TEXT NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (hash)
);
CREATE INDEX IF NOT EXISTS tickets_by_end ON tickets (expires);
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT NOT NULL,
    user_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    used BIGINT,
    revoked BIGINT,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS api_keys_by_user ON api_keys (user_id);
CREATE TABLE IF NOT EXISTS user_accounts (
    user_id INTEGER NOT NULL,
    account TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (user_id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    UNIQUE (account)
);
CREATE TABLE IF NOT EXISTS audit (
    number BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    address TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (number)
);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (ts);
CREATE TRIGGER IF NOT EXISTS audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'rows of the audit log stay as they are'); END;
CREATE TRIGGER IF NOT EXISTS audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'rows of the audit log stay as they are'); END;
CREATE TABLE IF NOT EXISTS channels (
    id INTEGER NOT NULL,
    user_id INTEGER,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    url BLOB NOT NULL,
    shown TEXT NOT NULL,
    events TEXT NOT NULL,
    minimum INTEGER NOT NULL,
    quiet TEXT NOT NULL,
    zone TEXT NOT NULL,
    house BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    status TEXT NOT NULL,
    error TEXT NOT NULL,
    failures INTEGER NOT NULL,
    sent BIGINT,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS channels_by_owner ON channels (coalesce(user_id, 0), name);
CREATE TABLE IF NOT EXISTS templates (
    id INTEGER NOT NULL,
    user_id INTEGER,
    event TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS templates_by_owner ON templates (coalesce(user_id, 0), event);
CREATE TABLE IF NOT EXISTS notifications (
    number INTEGER NOT NULL,
    id TEXT NOT NULL,
    user_id INTEGER,
    event TEXT NOT NULL,
    severity INTEGER NOT NULL,
    ts BIGINT NOT NULL,
    payload TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (id),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS notifications_by_owner ON notifications (coalesce(user_id, 0), number);
CREATE INDEX IF NOT EXISTS notifications_by_time ON notifications (created);
CREATE TABLE IF NOT EXISTS deliveries (
    notification INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due BIGINT NOT NULL,
    error TEXT NOT NULL,
    digest INTEGER,
    updated BIGINT NOT NULL,
    PRIMARY KEY (notification, channel),
    FOREIGN KEY(notification) REFERENCES notifications (number) ON DELETE CASCADE,
    FOREIGN KEY(channel) REFERENCES channels (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (channel, severity, due, notification) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS deliveries_dropped ON deliveries (channel) WHERE state = 'dropped' AND digest IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_digest ON deliveries (digest) WHERE digest IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_channel ON deliveries (channel, notification);
CREATE TABLE IF NOT EXISTS alert_requests (
    user_id INTEGER NOT NULL,
    request TEXT NOT NULL,
    body BLOB NOT NULL,
    alert_id INTEGER NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (user_id, request),
    FOREIGN KEY(alert_id) REFERENCES alerts (id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS alert_requests_by_time ON alert_requests (created);
CREATE INDEX IF NOT EXISTS alert_requests_by_alert ON alert_requests (alert_id);
CREATE TABLE IF NOT EXISTS recovery_codes (
    user_id INTEGER NOT NULL,
    hash BLOB NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (user_id, hash),
    FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
INSERT OR IGNORE INTO alembic_version VALUES ('0009');
