"""Old clients of the gRPC services understand new servers, and new clients old ones: the contract only ever grows."""

import json

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.contracts.messages import FILES as DATA
from tests.contracts.services import FILES, KEPT, KINDS, contract, said
from tests.contracts.test_messages import NEW_NUMBER, includes

VERSIONS = sorted(path.name for path in KEPT.iterdir())
VALUES = {version: json.loads((KEPT / version / "values.json").read_text()) for version in VERSIONS}
MESSAGES = [(version, name) for version in VERSIONS for name in VALUES[version]]


@pytest.fixture(scope="module")
def newer():
    """The messages of a version to come, by the name of their file: each has one more text, `added`."""
    pool = descriptor_pool.DescriptorPool()
    for file in (*DATA, *FILES):
        proto = descriptor_pb2.FileDescriptorProto.FromString(file.DESCRIPTOR.serialized_pb)
        for message in proto.message_type:
            message.field.add(name="added", number=NEW_NUMBER, type=9, label=1)
        pool.Add(proto)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(kind.DESCRIPTOR.full_name)) for name, kind in KINDS.items()}


def payload(version, name):
    return (KEPT / version / name).read_bytes()


@pytest.mark.parametrize(("version", "name"), MESSAGES)
def test_messages_of_every_published_version_are_read(version, name):
    """What a version wrote says today what it said then."""
    assert includes(said(KINDS[name].FromString(payload(version, name))), VALUES[version][name])


@pytest.mark.parametrize(("version", "name"), MESSAGES)
def test_an_old_program_hands_on_what_it_does_not_know(version, name, newer):
    """A newer message says to this version what it can understand, and has lost nothing when it is written again."""
    message = newer[name].FromString(payload(version, name))
    message.added = "news"
    read = KINDS[name].FromString(message.SerializeToString())
    assert includes(said(read), VALUES[version][name])
    assert newer[name].FromString(read.SerializeToString()) == message


@pytest.mark.parametrize("version", VERSIONS)
def test_the_contract_only_grows(version):
    """No field, word or method that was ever published is gone, or another."""
    assert set((KEPT / version / "contract.txt").read_text().splitlines()) - set(contract()) == set()


def test_the_newest_version_is_kept():
    """Every message, field and method is among those kept, so that the next change is held against it."""
    add = "add what is new with: python -m tests.contracts.services"
    assert set(KINDS) <= set(VALUES["v1"]), add
    assert sorted(contract()) == sorted((KEPT / "v1/contract.txt").read_text().splitlines()), add
