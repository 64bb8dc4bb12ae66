"""A family: its name as Prometheus wants it."""

from chat.api.family import counter, gauge


def test_what_only_grows_is_a_total() -> None:
    assert counter("joins", 3, "Joins.").full_name == "danmaku_joins_total"
    assert gauge("rooms", 4, "Rooms.").full_name == "danmaku_rooms"


def test_one_column_has_no_label() -> None:
    assert counter("joins", 3, "Joins.").columns == {"": 3}
    assert gauge("rooms", 4, "Rooms.").columns == {"": 4}
