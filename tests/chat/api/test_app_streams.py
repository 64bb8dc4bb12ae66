"""Publishing lines: any number of them, the good ones, however they come."""

import gzip
import json
from collections.abc import Iterator

import pytest

from chat.ops.engine import EmbeddedEngine
from tests.chat.api.rig import JSON, NDJSON, Api, chunk, lines, messages_of, read, until


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
        assert api.whole_history(room) == [f"{i}" for i in range(5000)]

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

    def test_a_byte_order_mark_is_no_part_of_the_first(self, api: Api, room: str) -> None:
        chunks = (bytes([byte]) for byte in b'\xef\xbb\xbf{"text":"a"}\n{"text":"b"}\n')
        assert api.stream(room, chunks).json["accepted"] == 2
        assert api.texts(room) == ["a", "b"]

    @pytest.mark.parametrize(
        "kind", ["jsonl", "x-ndjson", "x-jsonlines", "json-lines", "ndjson", "JSONL; charset=utf-8"]
    )
    def test_lines_have_many_names(self, api: Api, room: str, kind: str) -> None:
        answer = api.call("POST", messages_of(room), numbered(0, 2), f"application/{kind}")
        assert answer.json["accepted"] == 2


class TestLiveStreams:
    def test_each_line_is_published_while_the_stream_pauses(self, api: Api, room: str) -> None:
        with api.streaming(room) as connection:
            for i in range(8):
                connection.send(chunk(numbered(i, 1)))
                until(lambda: len(api.history(room)) == i + 1, "the line")  # noqa: B023
            connection.send(b"0\r\n\r\n")
            assert read(connection).json["accepted"] == 8

    def test_a_full_batch_does_not_wait(self, api: Api, room: str) -> None:
        with api.streaming(room) as connection:
            connection.send(chunk(numbered(0, 500)))
            until(lambda: len(api.history(room)) == 500, "the first batch")
            connection.send(chunk(numbered(500, 1)) + b"0\r\n\r\n")
            assert read(connection).json["accepted"] == 501

    def test_one_that_stalls_is_told_how_far_it_got(
        self, valkey: EmbeddedEngine, room: str
    ) -> None:
        api = Api(valkey.url, api={"stream_idle_s": 1})
        try:
            with api.streaming(room) as connection:
                connection.send(chunk(numbered(0, 3) + b'{"text":"half'))
                answer = read(connection)
            assert api.texts(room) == ["0", "1", "2"]
        finally:
            api.close()
        assert (answer.status, answer.error["code"]) == (408, "timeout")
        assert (answer.error["accepted"], answer.error["lines"]) == (3, 3)


class TestEncodings:
    @pytest.mark.parametrize("kind", [JSON, NDJSON])
    def test_what_is_compressed_is_refused_by_name(self, api: Api, room: str, kind: str) -> None:
        data = gzip.compress(numbered(0, 1))
        headers = {"Content-Encoding": "gzip"}
        answer = api.call("POST", messages_of(room), data, kind, headers)
        assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
        assert "gzip" in answer.error["message"]
        assert answer.headers["accept-encoding"] == "identity"
        assert api.history(room) == []

    def test_a_broadcast_is_no_exception(self, api: Api) -> None:
        headers = {"Content-Encoding": "gzip"}
        assert api.call("POST", "/v1/broadcast", gzip.compress(b"{}"), JSON, headers).status == 415


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
        answer = api.stream(room, (b"x" * 10_000 for _ in range(200)))
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        assert [problem["line"] for problem in answer.error["problems"]] == [1]

    def test_of_many_bad_lines_a_hundred_are_listed_and_all_counted(
        self, api: Api, room: str
    ) -> None:
        published = api.stream(room, b"bad\n" * 200 + b'{"text":"good"}\n').json
        assert (published["accepted"], published["rejected"]) == (1, 200)
        assert [problem["line"] for problem in published["problems"]] == list(range(1, 101))
        assert api.texts(room) == ["good"]

    def test_an_id_that_another_message_has_is_a_bad_line(self, api: Api, room: str) -> None:
        said = [{"text": text, "id": "i"} for text in "abac"]
        data = lines(said[0], {"text": "x"}, said[1], said[2]) + b"bad\n" + lines(said[3])
        published = api.stream(room, data).json
        counted = [published[name] for name in ("accepted", "duplicates", "rejected")]
        assert counted == [2, 1, 3]
        problems = [(one["line"], one.get("path")) for one in published["problems"]]
        assert problems == [(3, "id"), (5, None), (6, "id")]
        assert api.texts(room) == ["a", "x"]

    def test_a_line_nested_without_end_is_only_a_bad_line(self, api: Api, room: str) -> None:
        published = api.stream(room, b"[" * 4000 + b'\n{"text":"a"}\n').json
        assert (published["accepted"], published["rejected"]) == (1, 1)

    def test_an_array_is_no_line(self, api: Api, room: str) -> None:
        assert api.stream(room, b'[{"text":"a"}]\n{"text":"b"}\n').json["rejected"] == 1

    def test_when_none_is_good_all_are_refused_line_by_line(self, api: Api, room: str) -> None:
        answer = api.stream(room, b'{"text":""}\n\n{"text":"x","size":1}\n')
        assert (answer.status, answer.error["code"]) == (400, "bad_request")
        problems = [(problem["line"], problem["path"]) for problem in answer.error["problems"]]
        assert problems == [(1, "text"), (3, "size")]
        assert api.history(room) == []

    @pytest.mark.parametrize("data", [b"", b"\n\n"])
    def test_no_lines_at_all_are_a_mistake(self, api: Api, room: str, data: bytes) -> None:
        assert api.stream(room, data).status == 400


class TestCuts:
    @pytest.mark.parametrize("count", [1, 8, 500, 1200])
    def test_what_came_whole_is_published(self, api: Api, room: str, count: int) -> None:
        with api.streaming(room) as connection:
            connection.send(chunk(numbered(0, count) + b'{"text":"half'))
        ended = 'danmaku_api_requests_total{route="/v1/rooms/{room}/messages",status="499"}'
        until(lambda: len(api.whole_history(room)) >= count, "the lines")
        until(lambda: ended in api.get("/metrics").body.decode(), "the end of the request")
        assert api.whole_history(room) == [f"{i}" for i in range(count)]
        assert api.post(room, {"text": "after"}).json["first"] == count + 1
