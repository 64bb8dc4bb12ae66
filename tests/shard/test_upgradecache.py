"""The memory of requests: whatever was asked before, the answer is the one `respond` gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.handshake import END_OF_HEADERS, Accepted, Answer, Reply, respond
from shard.upgradecache import STAND_IN, STAND_IN_ACCEPT, UpgradeCache
from tests.shard.wire import REQUEST, terms

TERMS = terms("chat.json", "chat.msgpack", deflated=True, origins=("http://a",))
KEYS = [b"dGhlIHNhbXBsZSBub25jZQ==", b"AAAAAAAAAAAAAAAAAAAAAA==", STAND_IN]
KEY_LINE = b"Sec-WebSocket-Key: "


def agree(cache: UpgradeCache, data: bytes) -> Reply:
    """The cache answer, which must be the full one but for the key among the headers."""
    known = cache.respond(data, data.index(END_OF_HEADERS))
    full = respond(data, TERMS)
    if isinstance(full, Accepted) and isinstance(known, Accepted):
        headers = dict(full.request.headers)
        key = headers.pop("sec-websocket-key")
        assert known.request.headers.get("sec-websocket-key", key) == key
        known_headers = {k: v for k, v in known.request.headers.items() if k in headers}
        assert known_headers == headers
        assert (known.request.path, known.request.query) == (full.request.path, full.request.query)
        assert known.request.subprotocol == full.request.subprotocol
        assert (known.response, known.variant, known.rest) == (
            full.response,
            full.variant,
            full.rest,
        )
    else:
        assert known == full
    return known


@pytest.fixture
def cache() -> UpgradeCache:
    return UpgradeCache(TERMS)


class TestKeys:
    def test_each_key_gets_its_own_accept(self, cache: UpgradeCache) -> None:
        for key in KEYS * 2:
            assert isinstance(agree(cache, REQUEST.replace(KEYS[0], key)), Accepted)

    def test_the_stand_in_is_never_sent_back(self, cache: UpgradeCache) -> None:
        for _ in range(2):
            reply = agree(cache, REQUEST)
            assert isinstance(reply, Accepted)
            assert STAND_IN_ACCEPT not in reply.response

    @pytest.mark.parametrize(
        "key", [b"", b"short==", KEYS[0] + b"x", b" " + KEYS[0], b"\xff" * 24, b"=" * 24]
    )
    def test_a_bad_key_is_refused_also_in_a_known_block(
        self, cache: UpgradeCache, key: bytes
    ) -> None:
        assert isinstance(agree(cache, REQUEST), Accepted)
        agree(cache, REQUEST.replace(KEYS[0], key))

    def test_two_keys_are_refused(self, cache: UpgradeCache) -> None:
        line = KEY_LINE + KEYS[0] + b"\r\n"
        for _ in range(2):
            assert isinstance(agree(cache, REQUEST.replace(line, 2 * line)), Answer)


class TestBlocks:
    def test_frames_behind_the_request_are_the_connections_own(self, cache: UpgradeCache) -> None:
        for rest in (b"one", b"two", b"\r\nSec-WebSocket-Key: " + KEYS[1] + b"\r\n\r\n"):
            reply = agree(cache, REQUEST + rest)
            assert isinstance(reply, Accepted)
            assert reply.rest == rest

    def test_a_known_block_is_not_parsed_again(
        self, cache: UpgradeCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(cache, REQUEST)
        monkeypatch.setattr("shard.upgradecache.respond", None)
        assert isinstance(agree(cache, REQUEST.replace(KEYS[0], KEYS[1])), Accepted)

    def test_a_long_block_is_parsed_and_not_kept(
        self, cache: UpgradeCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = REQUEST.replace(b"\r\n\r\n", b"\r\nCookie: " + b"x" * 1024 + b"\r\n\r\n")
        assert isinstance(agree(cache, data), Accepted)
        monkeypatch.setattr("shard.upgradecache.respond", lambda *_: Answer(b"parsed again", 0))
        assert cache.respond(data, data.index(END_OF_HEADERS)) == Answer(b"parsed again", 0)

    @settings(deadline=None, max_examples=400)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 1 << 16),
                st.sampled_from([b"", b"\r\n", b"\r\n ", b": ", b"?room=a", KEY_LINE, *KEYS])
                | st.binary(max_size=2),
            ),
            max_size=4,
        ),
        st.sampled_from(KEYS),
    )
    def test_whatever_is_changed_in_a_request(
        self, changes: list[tuple[int, bytes]], key: bytes
    ) -> None:
        data = REQUEST[:-4]
        for place, new in changes:
            place %= len(data)
            data = data[:place] + new + data[place + 1 :]
        data += END_OF_HEADERS
        cache = UpgradeCache(TERMS)
        agree(cache, data)
        agree(cache, data.replace(KEYS[0], key))
