"""Key names: one partition's together, everything else apart."""

import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.bus.keys import Keys

KEYS = Keys("danmaku", 64)
ROOMS = st.from_regex(re.compile(r"[\w:.\-]{1,64}"), fullmatch=True)
SHORT = st.text(alphabet="a:1", max_size=6)
MESSAGES = st.tuples(SHORT, SHORT, SHORT)
Message = tuple[str, str, str]
"""Room, uid, message id."""


def slot_tag(key: str) -> str:
    """What a Redis Cluster hashes of a key: what stands in its first braces."""
    return key.partition("{")[2].partition("}")[0]


@given(ROOMS, st.integers(1, 1024))
def test_a_rooms_keys_carry_its_partitions_tag(room: str, partitions: int) -> None:
    keys = Keys("x", partitions)
    p = keys.partition(room)
    assert 0 <= p < partitions
    of_room = [keys.room(room), keys.history(room), keys.online(room)]
    of_room += [keys.crowd(room), keys.users(room)]
    of_room += [keys.dup(room, "u", "i"), keys.spoken(room, "u")]
    of_room += [keys.rules(room), keys.words(room, "d")]
    of_partition = [keys.fanout(p), keys.top(p), keys.seen(p)]
    of_partition += [keys.quota("user", room), keys.quota("address", room)]
    assert {slot_tag(key) for key in of_room + of_partition} == {str(p)}
    assert len({*of_room, *of_partition}) == 14


@given(MESSAGES, MESSAGES)
def test_no_two_messages_share_a_dup_key(one: Message, two: Message) -> None:
    keys = Keys("x", 1)
    assert (keys.dup(*one) == keys.dup(*two)) == (one == two)


@given(st.text(max_size=9))
def test_a_users_key_is_in_the_partition_of_the_uid(uid: str) -> None:
    assert slot_tag(KEYS.device(uid)) == str(KEYS.partition(uid))


@given(st.tuples(SHORT, SHORT), st.tuples(SHORT, SHORT))
def test_no_two_users_of_rooms_share_what_they_said(
    one: tuple[str, str], two: tuple[str, str]
) -> None:
    keys = Keys("x", 1)
    assert (keys.spoken(*one) == keys.spoken(*two)) == (one == two)


def test_names_as_they_are_written_down() -> None:
    p = crc32(b"live:42") % 64
    assert KEYS.partition("live:42") == p
    assert KEYS.room("live:42") == f"danmaku:{{{p}}}:room:live:42"
    assert KEYS.history("live:42") == f"danmaku:{{{p}}}:history:live:42"
    assert KEYS.online("live:42") == f"danmaku:{{{p}}}:online:live:42"
    assert KEYS.crowd("live:42") == f"danmaku:{{{p}}}:crowd:live:42"
    assert KEYS.users("live:42") == f"danmaku:{{{p}}}:users:live:42"
    assert KEYS.dup("live:42", "u7", "a-1") == f"danmaku:{{{p}}}:dup:7:live:42:2:u7:a-1"
    assert KEYS.device("live:42") == f"danmaku:{{{p}}}:device:live:42"
    assert KEYS.spoken("live:42", "u7") == f"danmaku:{{{p}}}:spoken:7:live:42:u7"
    assert KEYS.quota("user", "live:42") == f"danmaku:{{{p}}}:quota:user:live:42"
    assert KEYS.fanout(7) == "danmaku:{7}:fanout"
    assert KEYS.top(7) == "danmaku:{7}:top"
    assert KEYS.seen(7) == "danmaku:{7}:seen"
    assert KEYS.broadcast == "danmaku:broadcast"
    assert KEYS.wake("s1") == "danmaku:wake:s1"
    assert KEYS.rules("live:42") == f"danmaku:{{{p}}}:rules:live:42"
    assert KEYS.rules(None) == "{danmaku:broadcast}:rules"
    assert KEYS.words("live:42", "d1") == f"danmaku:{{{p}}}:words:live:42:d1"
    assert KEYS.words(None, "d1") == "{danmaku:broadcast}:words:d1"
    assert KEYS.audit == "{danmaku:broadcast}:audit"
    assert KEYS.reports == "{danmaku:broadcast}:reports"
    assert KEYS.shards == "{danmaku:broadcast}:shards"
    assert KEYS.found("i1") == "{danmaku:broadcast}:found:i1"
    assert KEYS.reporters("a:b", "e1-7") == "{danmaku:broadcast}:reporters:a:b:e1-7"


def test_what_is_of_everywhere_is_in_the_slot_of_the_broadcast_stream() -> None:
    # Of a key without braces the whole name counts.
    assert "{" not in KEYS.broadcast
    beside = [KEYS.rules(None), KEYS.audit, KEYS.reports, KEYS.reporters("r", "e1-7")]
    beside += [KEYS.shards, KEYS.found("i1"), KEYS.words(None, "d")]
    assert {slot_tag(key) for key in beside} == {KEYS.broadcast}


@pytest.mark.parametrize("partitions", [2, 64, 1024])
def test_rooms_are_spread_over_all_partitions(partitions: int) -> None:
    keys = Keys("x", partitions)
    used = {keys.partition(f"live:{i}") for i in range(partitions * 12)}
    assert len(used) > 0.95 * partitions


def test_prefixes_keep_installations_apart() -> None:
    assert Keys("a", 64).room("r") != Keys("b", 64).room("r")
