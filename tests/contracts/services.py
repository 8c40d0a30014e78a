"""The messages and methods of the gRPC services that are kept from every published version of the contract.

`tests/data/services/v1` holds one message of every kind with every field filled in, `values.json` with what each says, and `contract.txt`:
a line for every field, every word of an enum and every method. When the contract grows, `python -m tests.contracts.services` adds what is
new and changes nothing else.
"""

import json
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass

from openbell.proto.v1 import alerts_service_pb2, market_service_pb2, orders_service_pb2, portfolio_service_pb2
from tests.contracts.messages import TYPES, fields_of

KEPT = Path(__file__).resolve().parents[1] / "data/services"
FILES = (alerts_service_pb2, market_service_pb2, orders_service_pb2, portfolio_service_pb2)
KINDS = {f"{message.name}.bin": GetMessageClass(message) for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()}


def filled(kind):
    """A message with every field filled in, each with a value of its own."""
    made = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.message_type:
            value = filled(GetMessageClass(field.message_type))
        elif field.enum_type:
            value = field.enum_type.values[-1].number
        else:
            value = {"double": field.number + 0.5, "bool": True, "string": f"{field.name} {field.number}"}.get(
                TYPES[field.type], field.number * 1_000
            )
        if field.is_repeated:
            getattr(made, field.name).extend([value, value])
        elif field.message_type:
            getattr(made, field.name).CopyFrom(value)
        else:
            setattr(made, field.name, value)
    return made


def said(message):
    """What a message says, as plain data."""
    return MessageToDict(message, preserving_proto_field_name=True)


def contract():
    """A line for each field, each word of an enum, and each method."""
    lines = []
    for file in FILES:
        for message in file.DESCRIPTOR.message_types_by_name.values():
            lines += list(fields_of(message))
        for enum in file.DESCRIPTOR.enum_types_by_name.values():
            lines += [f"{enum.full_name} {value.number} = {value.name}" for value in enum.values]
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                streams = [("stream " if each else "") for each in (method.client_streaming, method.server_streaming)]
                names = method.input_type.full_name, method.output_type.full_name
                lines.append(f"{method.full_name} = {streams[0]}{names[0]} -> {streams[1]}{names[1]}")
    return lines


def keep(folder):
    """Add what is new to the folder of a version."""
    folder.mkdir(parents=True, exist_ok=True)
    values = folder / "values.json"
    known = json.loads(values.read_text()) if values.exists() else {}
    for name, kind in KINDS.items():
        if name not in known:
            (folder / name).write_bytes(filled(kind).SerializeToString())
            known[name] = said(filled(kind))
    values.write_text(json.dumps(known, indent=1) + "\n")
    text = folder / "contract.txt"
    lines = text.read_text().splitlines() if text.exists() else []
    text.write_text("\n".join(lines + [line for line in contract() if line not in lines]) + "\n")


if __name__ == "__main__":
    keep(KEPT / "v1")
