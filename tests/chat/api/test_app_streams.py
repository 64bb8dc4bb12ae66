"""Publishing lines: any number of them, the good ones, however they come."""

import json
from collections.abc import Iterator

from tests.chat.api.rig import NDJSON, Api, lines, messages_of, read, until


def numbered(first: int, count: int) -> bytes:
    return lines(*({"text": f"{i}"} for i in range(first, first + count)))


class TestGoodLines:
    def test_more_lines_than_a_body_may_have_are_published_in_order(
        self, api: Api, room: str
    ) -> None:
        data = numbered(0, 5000)
        assert len(data) > api.config.api.body_bytes
        answer = api.stream(room, data)
        assert answer.status == 200
        published = answer.json
        assert (published["accepted"], published["first"], published["last"]) == (5000, 1, 5000)
        assert "problems" not in published
        seen: list[str] = []
        path: int | None = 0
        while path is not None:
            page = api.get(f"{messages_of(room)}?limit=500&after={path}").json
            seen += [message["text"] for message in page["messages"]]
            path = page["next"]
        assert seen == [f"{i}" for i in range(5000)]

    def test_lines_cut_anywhere_are_the_same_lines(self, api: Api, room: str) -> None:
        data = lines(*({"text": f"弹{i}"} for i in range(20)))
        chunks: Iterator[bytes] = (data[i : i + 3] for i in range(0, len(data), 3))
        assert api.stream(room, chunks).json["accepted"] == 20
        assert api.texts(room) == [f"弹{i}" for i in range(20)]

    def test_the_last_line_needs_no_line_break(self, api: Api, room: str) -> None:
        assert api.stream(room, b'{"text":"a"}\n{"text":"b"}').json["accepted"] == 2
        assert api.texts(room) == ["a", "b"]

    def test_blank_lines_and_carriage_returns_are_nothing(self, api: Api, room: str) -> None:
        published = api.stream(room, b'\n{"text":"a"}\r\n\r\n  \n{"text":"b"}\r\n').json
        assert (published["accepted"], published.get("rejected")) == (2, None)

    def test_ids_work_in_a_stream(self, api: Api, room: str) -> None:
        data = lines({"text": "a", "id": "1"}, {"text": "b", "id": "2"})
        api.stream(room, data)
        again = api.stream(room, data + numbered(0, 1)).json
        assert (again["accepted"], again["duplicates"], again["last"]) == (1, 2, 3)

    def test_what_came_is_published_before_the_stream_ends(self, api: Api, room: str) -> None:
        with api.connection() as connection:
            connection.putrequest("POST", messages_of(room))
            connection.putheader("Content-Type", NDJSON)
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            connection.send(chunk(numbered(0, 500)))
            until(lambda: len(api.history(room)) == 500, "the first batch")
            connection.send(chunk(numbered(500, 1)) + b"0\r\n\r\n")
            assert read(connection).json["accepted"] == 501


class TestBadLines:
    def test_a_bad_line_is_listed_and_the_others_published(self, api: Api, room: str) -> None:
        data = b'{"text":"a"}\n\n{"text":"b","size":1}\nnope\n{"text":"\xff"}\n{"text":"c"}\n'
        published = api.stream(room, data).json
        assert (published["accepted"], published["rejected"]) == (2, 3)
        assert [problem["line"] for problem in published["problems"]] == [3, 4, 5]
        assert published["problems"][0]["path"] == "size"
        assert api.texts(room) == ["a", "c"]

    def test_a_line_that_is_too_long_is_passed_over(self, api: Api, room: str) -> None:
        long = json.dumps({"text": "x" * 10_000}).encode()
        published = api.stream(room, b'{"text":"a"}\n' + long + b'\n{"text":"b"}\n').json
        assert (published["accepted"], published["rejected"]) == (2, 1)
        assert published["problems"][0]["line"] == 2
        assert "4096" in published["problems"][0]["message"]
        assert api.texts(room) == ["a", "b"]

    def test_an_endless_line_is_one_problem(self, api: Api, room: str) -> None:
        published = api.stream(room, (b"x" * 10_000 for _ in range(200))).json
        assert (published["accepted"], published["rejected"]) == (0, 1)
        assert len(published["problems"]) == 1

    def test_of_many_bad_lines_a_hundred_are_listed_and_all_counted(
        self, api: Api, room: str
    ) -> None:
        published = api.stream(room, b"bad\n" * 200 + b'{"text":"good"}\n').json
        assert (published["accepted"], published["rejected"]) == (1, 200)
        assert [problem["line"] for problem in published["problems"]] == list(range(1, 101))
        assert api.texts(room) == ["good"]

    def test_a_line_nested_without_end_is_only_a_bad_line(self, api: Api, room: str) -> None:
        published = api.stream(room, b"[" * 4000 + b'\n{"text":"a"}\n').json
        assert (published["accepted"], published["rejected"]) == (1, 1)

    def test_an_array_is_no_line(self, api: Api, room: str) -> None:
        assert api.stream(room, b'[{"text":"a"}]\n').json["rejected"] == 1

    def test_no_lines_at_all_is_a_mistake(self, api: Api, room: str) -> None:
        assert api.stream(room, b"").status == 400


class TestDisconnect:
    def test_a_client_that_leaves_in_the_middle_harms_nobody(self, api: Api, room: str) -> None:
        with api.connection() as connection:
            connection.putrequest("POST", messages_of(room))
            connection.putheader("Content-Type", NDJSON)
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            connection.send(chunk(numbered(0, 500) + b'{"text":"half'))
            until(lambda: len(api.history(room)) == 500, "the first batch")
        ended = 'danmaku_api_requests_total{route="/v1/rooms/{room}/messages",status="499"} 1.0'
        until(lambda: api.metric(ended), "the end of the request")
        assert api.post(room, {"text": "after"}).json["first"] == 501


def chunk(data: bytes) -> bytes:
    """One chunk as HTTP writes it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
