"""What we know of the protocol's messages is what its clients know of them."""

from typing import Any, Final

import pytest
from centrifuge.protocol import client_pb2
from msgspec import Struct

from chat.wire.dialects import centrifugal_schema as schema
from chat.wire.dialects.centrifugal_schema import METHODS, NUMBERS

THEIRS: Final[Any] = client_pb2.DESCRIPTOR.message_types_by_name
NAMES: Final = {
    "Failure": ["Error"],
    "Unsubscription": ["Unsubscribe"],
    "OfNoChannel": ["Message"],
    "OfChannel": ["UnsubscribeRequest", "PresenceRequest", "PresenceStatsRequest"],
    "Nothing": [
        *("PingRequest", "SendRequest", "RPCRequest"),
        *("PingResult", "PublishResult", "UnsubscribeResult", "SubRefreshResult"),
    ],
}
"""Ours that are called otherwise there."""
NEWER: Final = {("Publication", "epoch")}
"""Not in every client yet; who does not know it passes over it."""


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_fields_have_their_numbers_and_types(kind: type[Struct]) -> None:
    for name in NAMES.get(kind.__name__, [kind.__name__]):
        fields = THEIRS[name].fields_by_name
        for field, (number, of) in NUMBERS[kind].items():
            if (kind.__name__, field) in NEWER and field not in fields:
                assert number not in [one.number for one in THEIRS[name].fields]
                continue
            there = fields[field]
            assert there.number == number
            if there.message_type is not None:
                assert there.message_type.name in NAMES.get(of, [of])
            else:
                assert there.type == getattr(there, f"TYPE_{of.upper()}")


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_every_field_has_one(kind: type[Struct]) -> None:
    assert {*NUMBERS[kind]} == {*kind.__struct_fields__}


def test_every_type_and_every_method_is_there() -> None:
    kinds = [kind for kind in vars(schema).values() if isinstance(kind, type)]
    types = {kind for kind in kinds if issubclass(kind, Struct)}
    assert types - {Struct, schema.Fields} == {*NUMBERS}
    assert {*METHODS} == {field.name for field in THEIRS["Command"].fields if field.name != "id"}
