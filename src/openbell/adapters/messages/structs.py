"""Plain structures as protobuf messages of the same field names: numbers and text as they are, enums as words, None for what is absent."""

from typing import Any, Generic, TypeVar

import msgspec

from openbell.adapters.messages.parsing import parsed
from openbell.errors import DataError

S = TypeVar("S", bound=msgspec.Struct)


class StructCodec(Generic[S]):
    """Between a structure and a protobuf message."""

    def __init__(self, message: Any, structure: type[S]) -> None:
        self._message, self._structure = message, structure
        self._name = f"{'an' if message.DESCRIPTOR.name[0] in 'AEIOU' else 'a'} {message.DESCRIPTOR.name}"
        fields = message.DESCRIPTOR.fields
        #: Words of the fields that are enums, by their number.
        self._words = {field.name: words_of_enum(field.enum_type) for field in fields if field.enum_type is not None}
        self._fields = [(field.name, field.has_presence) for field in fields]
        assert {name for name, _ in self._fields} == set(structure.__struct_fields__), structure

    def encode(self, value: S) -> bytes:
        """The message with the fields of a structure; DataError where `decode` would raise one."""
        fields = msgspec.structs.asdict(value)
        self._structured(fields)
        for name, words in self._words.items():
            fields[name] = words.index(fields[name])
        return bytes(self._message(**fields).SerializeToString())

    def decode(self, payload: bytes) -> S:
        """The structure with the fields of a message; DataError when they do not fit it."""
        message: Any = parsed(self._message, payload)
        fields: dict[str, Any] = {}
        for name, may_be_absent in self._fields:
            value = getattr(message, name)
            if name in self._words:
                value = self._word(name, value)
            fields[name] = None if may_be_absent and not message.HasField(name) else value
        return self._structured(fields)

    def _structured(self, fields: dict[str, Any]) -> S:
        try:
            return msgspec.convert(fields, self._structure)
        except msgspec.ValidationError as error:
            raise DataError(f"{self._name} that cannot be used: {error}") from None

    def _word(self, name: str, number: int) -> str:
        words = self._words[name]
        if not 0 <= number < len(words):
            found = f"{self._name} has the {name} {number}, which this version does not know"
            raise DataError(found, f"one of {', '.join(filter(None, words))}", "bring this service to the sender's version")
        return words[number]


def words_of_enum(enum: Any) -> list[str]:
    """The words of an enum by number: ORDER_STATUS_FILLED is "filled", and what is not specified is empty.

    >>> from openbell.proto.v1.trading_pb2 import Side
    >>> words_of_enum(Side.DESCRIPTOR)
    ['', 'buy', 'sell']
    """
    prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
    assert [value.number for value in enum.values] == list(range(len(enum.values))), enum.full_name
    return ["", *(value.name.removeprefix(prefix).lower() for value in enum.values[1:])]
