"""What a frame of `danmaku top` shows."""

from io import StringIO

import pytest
from rich.console import Console

from chat.client.top_frame import count, frame, rate, seconds, size
from chat.client.top_nodes import NAMES, Node, RoomLine, Rooms
from chat.client.top_rates import Between, read
from tests.chat.client.apis import metrics

Shard = dict[str, float]


def node(*shards: Shard, before: bool = True, name: str = "n1:8001") -> Node:
    """A node that was at nothing two seconds ago, where there was a `before`."""
    made = Node(f"http://{name}")
    earlier = read(metrics(*[{}] * len(shards)), 0.0, NAMES) if before else None
    made.between, made.why = Between(earlier, read(metrics(*shards), 2.0, NAMES)), ""
    return made


def away(why: str = "cannot be reached (refused); is a node up?") -> Node:
    made = Node("http://n2:8001")
    made.why = why
    return made


def drawn(*nodes: Node, rooms: Rooms | None = None, height: int | None = None) -> list[str]:
    console = Console(file=StringIO(), width=120, height=height or 100)
    picture = frame(nodes, rooms or Rooms(10), "danmaku top", console if height else None)
    console.print(picture)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the line that begins so."""
    [found] = [line for line in lines if line.startswith(name)]
    return found.removeprefix(name).split()


class TestNodes:
    def test_rates_and_counts_of_all_shards(self) -> None:
        one: Shard = {
            "viewers": 1000,
            "joins": 20,
            "said": 100,
            "delivered": 4_000_000,
            "dropped": 1,
        }
        lines = drawn(node(one, one))
        assert row(lines, "n1:8001") == [
            *("2,000", "–", "20", "100", "4.0", "M", "1.0", "–", "–", "–", "up"),
        ]

    def test_one_look_has_counts_and_no_rates(self) -> None:
        assert row(drawn(node({"viewers": 7}, before=False)), "n1:8001")[:4] == [
            *("7", "–", "–", "–"),
        ]

    def test_one_that_is_away_is_a_row_that_says_why_beside_the_others(self) -> None:
        lines = drawn(node({"viewers": 7}), away())
        assert row(lines, "n1:8001  ")[0] == "7"
        assert "n2:8001  cannot be reached (refused); is a node up?" in lines

    def test_redis_that_is_away_is_said(self) -> None:
        assert row(drawn(node({"bus": 1}, {"bus": 0})), "n1:8001")[-3:] == ["Redis", "is", "away"]

    def test_all_away_is_a_frame_too(self) -> None:
        assert "n2:8001  not asked yet" in drawn(away("not asked yet"))

    def test_brackets_are_text(self) -> None:
        assert "n2:8001  [red]no[/red]" in drawn(away("[red]no[/red]"))


class TestReasons:
    def test_what_is_dropped_is_said_by_reason_of_all_nodes_together(self) -> None:
        lines = drawn(node({"dropped": 10}), node({"dropped": 30}, name="n3:8001"))
        assert "not delivered or refused a second  dropped: slow 20" in lines

    def test_nothing_is_said_too(self) -> None:
        assert "not delivered or refused a second  nothing" in drawn(node({}))


class TestShards:
    def test_a_row_each(self) -> None:
        lines = drawn(node({"viewers": 5, "joins": 4, "calm": 2, "late": 2}, {"viewers": 6}))
        assert row(lines, "0 ")[:4] == ["5", "2.0", "0", "0.5"]
        assert row(lines, "1 ")[0] == "6"

    def test_with_several_nodes_it_says_whose(self) -> None:
        lines = drawn(node({"viewers": 5}), node({"viewers": 6}, name="n3:8001"))
        assert row(lines, "n3:8001 0")[0] == "6"

    def test_those_that_do_not_fit_are_counted_and_the_late_ones_shown(self) -> None:
        calm, late = {"calm": 2.0, "late": 2.0}, {"late": 2.0}
        lines = drawn(node(*[calm] * 30, late, *[calm] * 30), height=24)
        assert len(lines) <= 24
        assert row(lines, "30 ")
        shown = sum(line.split()[0].isdigit() for line in lines if line)
        assert f"and {61 - shown} shards that are no later" in lines


class TestRooms:
    def test_a_row_each(self) -> None:
        rooms = Rooms(10)
        rooms.lines = [RoomLine("live:42", 812, 900, "e1", 1043, 0.0, 12.5)]
        rooms.lines.append(RoomLine("a\x1b[2Jb", 1, 1, "e1", 1, 0.0))
        lines = drawn(node({}), rooms=rooms)
        assert row(lines, "live:42") == ["812", "900", "12", "1,043"]
        assert row(lines, "a [2Jb") == ["1", "1", "–", "1"]

    def test_why_there_are_none(self) -> None:
        rooms = Rooms(10)
        rooms.why = "not for this key"
        assert "rooms: not for this key" in drawn(node({}), rooms=rooms)


class TestNumbers:
    @pytest.mark.parametrize(
        ("shown", "said"),
        [
            (count(None), "–"),
            (count(15000.0), "15,000"),
            (rate(0.0), "0"),
            (rate(0.31), "0.3"),
            (rate(9.96), "10"),
            (rate(44900.0), "44,900"),
            (rate(8e6), "8.0 M"),
            (seconds(0.0003), "0.3 ms"),
            (seconds(0.045), "45 ms"),
            (seconds(0.9999), "1.0 s"),
            (size(12.0), "12 B"),
            (size(12_000.0), "12 kB"),
            (size(3.4e6), "3.4 MB"),
            (size(2e9), "2.0 GB"),
        ],
    )
    def test_they_are_short(self, shown: str, said: str) -> None:
        assert shown == said
