"""Rooms in the document: which fields of a broadcast go together."""

import json
from itertools import product
from typing import Any

import pytest

from chat.api.bodies import BadBody
from chat.api.models import MAX_NOTICES
from chat.api.room_paths import STRUCTS, paths
from chat.config.sections import Limits
from tests.chat.api.reading import read_broadcast
from tests.chat.api.rig import Api
from tests.chat.api.test_openapi import DOCUMENT, SCHEMAS, validator

FITS = validator("BroadcastIn").is_valid
HELLO = {"text": "x"}
WHOM: tuple[dict[str, Any], ...] = (
    {},
    {"rooms": ["a"]},
    {"rooms": []},
    {"rooms": None},
    {"users": ["u"]},
    {"users": [" u"]},
    {"all": True},
    {"all": False},
    {"all": None},
)
WHAT: tuple[dict[str, Any], ...] = (
    {},
    {"message": HELLO},
    {"message": None},
    {"messages": [HELLO]},
    {"messages": []},
    {"messages": None},
)


def accepted(body: dict[str, Any]) -> bool:
    try:
        read_broadcast(json.dumps(body).encode(), Limits())
    except BadBody:
        return False
    return True


class TestBroadcasts:
    @pytest.mark.parametrize("both", list(product(WHOM, WHOM)))
    def test_what_fits_is_what_is_taken(self, both: tuple[dict[str, Any], ...]) -> None:
        whom = both[0] | both[1]
        for one, other in product(WHAT, WHAT):
            body = whom | one | other
            assert FITS(body) == accepted(body), body

    def test_of_notices_fewer_than_of_messages(self, api: Api) -> None:
        many = {"messages": [HELLO] * (MAX_NOTICES + 1)}
        for body, fits in (({"all": True, **many}, False), ({"rooms": ["a"], **many}, True)):
            assert FITS(body) == fits

    def test_all_its_paths_and_bodies_stand_in_the_whole(self) -> None:
        assert set(paths({})) <= set(DOCUMENT["paths"])
        assert {kind.__name__ for kind in STRUCTS} <= set(SCHEMAS)
