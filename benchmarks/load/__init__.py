"""Load on the platform of several processes: what goes through real servers, how fast, and what it costs whom.

One module a job. Each needs servers: those that the environment names (`eval "$(scripts/services.sh env)"`), else those that
`scripts/services.sh up` started in this checkout. Names on the servers are of this run only, and are removed at its end.
"""

#: The module of each job in this folder.
JOBS = {"KAFKA": "kafka", "PIPELINE": "pipeline", "CANDLES": "candles", "REDIS": "redis", "ORDERS": "orders"}
