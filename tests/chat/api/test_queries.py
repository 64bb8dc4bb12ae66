"""Queries: what is no UTF-8 is refused by its name, whoever would have read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from chat.api.queries import query_problems
from tests.chat.api.rig import Api, messages_of, path_of


def paths(query: bytes) -> list[str]:
    return [problem.path for problem in query_problems(query)]


class TestProblems:
    @pytest.mark.parametrize(
        "query",
        [b"", b"uid=u", b"uid=%E9%98%BF%E8%8A%B1", b"uid=%EF%BF%BD", b"a=%zz&%&=&&;", b"u=+"],
    )
    def test_what_is_utf_8_has_none(self, query: bytes) -> None:
        assert paths(query) == []

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            (b"uid=%FF", ["uid"]),
            (b"limit=1&uid=u%E9%98&after=%C0%80", ["uid", "after"]),
            (b"uid=%ED%A0%80", ["uid"]),
            (b"u%FF=1", ["u\N{REPLACEMENT CHARACTER}"]),
            ("uid=阿花".encode(), [""]),
        ],
    )
    def test_what_is_not_is_named(self, query: bytes, names: list[str]) -> None:
        assert paths(query) == names

    @given(st.binary(max_size=20))
    def test_any_bytes_are_read_as_they_were_sent_or_refused(self, value: bytes) -> None:
        query = b"uid=" + b"".join(b"%%%02X" % byte for byte in value)
        if not paths(query):
            assert QueryParams(query)["uid"].encode() == value


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "path", "name"),
        [
            ("DELETE", "{messages}?uid=%FF", "uid"),
            ("GET", "{messages}?after=%FF", "after"),
            ("GET", "/v1/rooms?top=%FF", "top"),
            ("GET", "/v1/mutes?after=%FF", "after"),
            ("GET", "/v1/audit?limit=%FF", "limit"),
            ("GET", "/v1/users/u?addresses=%FF", "addresses"),
            ("DELETE", "/v1/mutes/u?reason=%FF", "reason"),
            ("GET", "{room}?unread=%FF", "unread"),
        ],
    )
    def test_whatever_is_asked_for(
        self, api: Api, room: str, method: str, path: str, name: str
    ) -> None:
        asked = path.format(messages=messages_of(room), room=path_of(room))
        answer = api.send(method, asked)
        assert (answer.status, answer.paths) == (400, [name])

    def test_bytes_that_are_not_encoded_mean_the_same(self, api: Api) -> None:
        for after, status in (("阿".encode(), 200), (b"\xff", 400)):
            head = b"Host: localhost\r\nConnection: close\r\n\r\n"
            answer = api.raw(b"GET /v1/mutes?after=%b HTTP/1.1\r\n%b" % (after, head))
            assert answer.startswith(b"HTTP/1.1 %d " % status)

    def test_the_page_reads_its_own(self, api: Api) -> None:
        assert api.get("/?room=%FF").status == 200
