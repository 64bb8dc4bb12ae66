from chat.hub.wanted import Wanted, wanted_by
from chat.wire.commands import Join
from chat.wire.dialects.native import JSON
from shard.handshake import Request


class TestWhatARequestAsksFor:
    def test_who_and_which_rooms(self) -> None:
        query = {"room": ["a", "b", "a"], "guest": ["1.x"], "name": ["Ann", "Bob"]}
        wanted = wanted_by(Request("/ws", query, {"authorization": "Bearer t"}), JSON)
        assert wanted == Wanted(JSON, "t", "1.x", "Ann", (Join("a"), Join("b")))

    def test_nothing(self) -> None:
        assert wanted_by(Request("/ws", {}, {}), JSON) == Wanted(JSON, None, None, None, ())

    def test_it_is_read_once_for_all_who_share_it(self) -> None:
        shared, other = (Request("/ws", {"room": ["a"]}, {}) for _ in range(2))
        assert wanted_by(shared, JSON) is wanted_by(shared, JSON)
        assert wanted_by(shared, JSON) is not wanted_by(other, JSON)
