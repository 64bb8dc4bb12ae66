"""What lines of the log are about."""

from shard.logids import NAMES, about


def test_what_is_not_known_is_left_out() -> None:
    assert about() == about(None) == about("") == {}
    assert about("live:1") == {"room": "live:1"}
    assert about("live:1", "1f-7") == {"room": "live:1", "connection": "1f-7"}
    assert about("live:1", "1f-7").keys() < set(NAMES)
