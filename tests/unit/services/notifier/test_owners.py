"""Whose a decision is: of the owner of its strategy, or of the user who has the account."""

import pytest

from openbell.adapters.stores.users import UserStore
from openbell.services.notifier.owners import StrategyOwners
from openbell.services.notifier.service import NotifierService
from tests.unit.services.notifier.scene import Scene


@pytest.fixture
def scene(tmp_path):
    with Scene(tmp_path) as made:
        query = "INSERT INTO users (id, name, password_hash, role, created) VALUES (?, ?, '', 'trader', 1)"
        made.database.run(lambda sql: sql.many(query, [(7, "ann"), (8, "bob")]))
        yield made


def owners(scene, strategies=None, spare=("user-1", "user-2")):
    return StrategyOwners(UserStore(scene.database), strategies or {}, spare)


def test_of_a_strategy(scene):
    """As the settings say; a user who is not there yet is found when she is."""
    owner = owners(scene, {"cross": "Ann", "bands": "eve"})
    assert (owner("cross"), owner("bands"), owner("other"), owner("manual")) == (7, 0, 0, 0)
    scene.database.run(lambda sql: sql.execute("UPDATE users SET name = 'eve' WHERE id = 8"))
    assert owner("bands") == 8


def test_of_an_account(scene):
    """Which is given away while the platform runs."""
    owner = owners(scene)
    assert (owner("user-1"), owner("user-2"), owner("user-3")) == (0, 0, 0)
    assert UserStore(scene.database).account(8, ["user-1", "user-2"], 1) == "user-1"
    assert (owner("user-1"), owner("user-2")) == (8, 0)


async def test_each_hears_of_his_own(scene):
    """And the house of its own."""
    for name, whose in (("a", 7), ("b", 8), ("house", 0)):
        scene.channel(name, owner=whose)
    service = NotifierService(scene.channels, scene.outbox, None, None, "r", None, owner=owners(scene, {"cross": "ann", "bands": "bob"}))
    news = [scene.news("fill", strategy=strategy) for strategy in ("cross", "bands", "manual", "user-9")]
    assert service._store([*news, scene.news("disconnect", service="feed"), scene.news("alert", owner=7)], None) == 6
    found = {}
    for row in scene.log.page():
        found.setdefault(row.channel_name, []).append(row.fields.get("strategy", row.event))
    assert found == {"a": ["alert", "cross"], "b": ["bands"], "house": ["disconnect", "user-9", "manual"]}
