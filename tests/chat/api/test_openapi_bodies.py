"""Bodies that fit the document are taken, and what is taken fits it, once it is cleaned."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from chat.api.bodies import BadBody, read_fields
from chat.api.rulings import KickIn, SanctionIn, SettingsIn
from chat.api.word_paths import CheckIn
from chat.config.sections import Limits
from chat.policy.text import clean_text
from tests.chat.api.reading import read_broadcast, read_messages
from tests.chat.api.test_bodies import near_broadcasts, near_messages
from tests.chat.api.test_openapi import SCHEMAS, validator

MESSAGE, BROADCAST = validator("MessageIn").is_valid, validator("BroadcastIn").is_valid
NUMBERS = (-1, 0, 1, 60, 86_400, 1_000_000, 2**53, 0.5, 60.0)
TEXTS = ("", "x", "u7", " u", "none", "vip", "x" * 201)
OTHERS: tuple[Any, ...] = ([], ["u7"], [" u"], ["u"] * 101, {}, {"mask": ["damn"]}, {"mask": None})
VALUES = st.sampled_from([None, True, False, *NUMBERS, *TEXTS, *OTHERS])
KINDS = (KickIn, SanctionIn, SettingsIn, CheckIn)


def is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def cleaned(message: Any) -> Any:
    """A message whose text and name are cleaned."""
    if not isinstance(message, dict):
        return message
    texts = {name: message[name] for name in ("text", "name") if name in message}
    return message | {
        name: clean_text(one) if isinstance(one, str) else one for name, one in texts.items()
    }


@given(near_messages.filter(is_json))
def test_of_messages(message: dict[str, Any]) -> None:
    try:
        read_messages(json.dumps(message).encode(), Limits())
    except BadBody:
        assert not MESSAGE(message)
    else:
        assert MESSAGE(cleaned(message))


@given(near_broadcasts.filter(is_json))
def test_of_broadcasts(broadcast: dict[str, Any]) -> None:
    try:
        read_broadcast(json.dumps(broadcast).encode(), Limits())
    except BadBody:
        assert not BROADCAST(broadcast)
    else:
        many = broadcast.get("messages")
        told = broadcast | {"message": cleaned(broadcast.get("message"))}
        told |= {"messages": [cleaned(one) for one in many] if isinstance(many, list) else many}
        assert BROADCAST(told)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_of_orders(kind: type[Struct], data: st.DataObject) -> None:
    schema = SCHEMAS[kind.__name__]
    names = st.sampled_from([*schema["properties"], "extra"])
    body = data.draw(st.dictionaries(names, VALUES, max_size=3))
    fits = validator(kind.__name__).is_valid(body)
    try:
        read_fields(json.dumps(body).encode(), kind)
    except BadBody:
        assert not fits


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_has_a_value_that_fits_and_one_that_does_not(kind: type[Struct]) -> None:
    # Or the property above would say nothing.
    tried: list[Any] = [None, True, 1, 60, "u7", "none", "vip", ["u7"], {}, -1, "x" * 3000, 0.5]
    fits = validator(kind.__name__).is_valid
    needed = dict.fromkeys(SCHEMAS[kind.__name__].get("required", ()), "u7")
    for name in SCHEMAS[kind.__name__]["properties"]:
        found = {fits(needed | {name: value}) for value in tried}
        assert found == {True, False}, name
