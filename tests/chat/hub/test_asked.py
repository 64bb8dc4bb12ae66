from chat.hub.asked import Asked, asked_by
from chat.wire.commands import Join
from chat.wire.dialects.native import JSON
from shard.handshake import Request


class TestWhatARequestAsksFor:
    def test_who_and_which_rooms(self) -> None:
        query = {"room": ["a", "b", "a"], "guest": ["1.x"], "name": ["Ann", "Bob"]}
        asked = asked_by(Request("/ws", query, {"authorization": "Bearer t"}), JSON)
        assert asked == Asked("t", "1.x", "Ann", (Join("a"), Join("b")))

    def test_nothing(self) -> None:
        assert asked_by(Request("/ws", {}, {}), JSON) == Asked(None, None, None, ())

    def test_it_is_read_once_for_all_who_share_it(self) -> None:
        shared, other = (Request("/ws", {"room": ["a"]}, {}) for _ in range(2))
        assert asked_by(shared, JSON) is asked_by(shared, JSON)
        assert asked_by(shared, JSON) is not asked_by(other, JSON)
