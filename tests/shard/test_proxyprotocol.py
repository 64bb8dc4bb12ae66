"""PROXY headers, literal; and their invariant, on headers whole, split and changed."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shard.proxyprotocol import MAX_LENGTH, BadProxyHeader, Header, parse

GET = b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"
SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
TCP4 = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
INET = SIGNATURE + b"\x21\x11\x00\x0c" + b"\xcb\x00\x71\x07\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"


def binary(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    """A header of version 2; `length` when it is to lie."""
    size = len(body) if length is None else length
    return struct.pack("!12sBBH", SIGNATURE, command, family, size) + body


def outcome(data: bytes) -> Header | str | None:
    try:
        return parse(data)
    except BadProxyHeader:
        return "bad"


def arriving(data: bytes) -> tuple[int, Header | str | None]:
    """How many bytes it takes, coming one by one, until something is known; and what."""
    for size in range(len(data) + 1):
        found = outcome(data[:size])
        if found is not None:
            return size, found
    return len(data), None


class TestVersion1:
    @pytest.mark.parametrize(
        ("line", "source"),
        [
            (TCP4, "192.168.0.1"),
            (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
            (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0"),
            (b"PROXY TCP6 2001:DB8:0:0::1 ::1 56324 443\r\n", "2001:db8::1"),
            (b"PROXY TCP6 :: 1:2:3:4:5:6:7:: 1 2\r\n", "::"),
            (b"PROXY TCP6 ::ffff:1.2.3.4 ::ffff:10.0.0.1 1 2\r\n", "1.2.3.4"),
            (b"PROXY TCP6 ::ffff:102:304 ::1 1 2\r\n", "1.2.3.4"),
            (
                b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                b"0000:0000:0000:0000:0000:0000:0000:0000 65535 65535\r\n",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            (b"PROXY UNKNOWN\r\n", None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
            (b"PROXY UNKNOWN  \xff\n\r\r\n", None),
            (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None),
        ],
    )
    def test_a_line_ends_at_its_crlf(self, line: bytes, source: str | None) -> None:
        assert parse(line) == Header(len(line), source)
        assert parse(line + GET) == Header(len(line), source)
        assert arriving(line + GET) == (len(line), Header(len(line), source))

    @pytest.mark.parametrize(
        ("line", "known_after"),
        [
            (GET, 1),
            (b"PROXY\r\n", 6),
            (b"PROXY  TCP4", 7),
            (b"proxy TCP4", 1),
            (b"PROXY TCP5 ", 10),
            (b"PROXY TCP4\r\n", 11),
            (b"PROXY UDP4 ", 8),
            (b"PROXY UNKNOWNS", 14),
            (b"PROXY TCP4  1.2.3.4", 12),
            (b"PROXY TCP4 256.", 14),
            (b"PROXY TCP4 01.2.3.4", 13),
            (b"PROXY TCP4 1.2.3.4.", 19),
            (b"PROXY TCP4 1.2.3 ", 17),
            (b"PROXY TCP4 ::1 ", 12),
            (b"PROXY TCP4 1.2.3.4\t", 19),
            (b"PROXY TCP4 1.2.3.4 a", 20),
            (b"PROXY TCP6 1.2.3.4 ", 13),
            (b"PROXY TCP6 1::2:: ", 17),
            (b"PROXY TCP6 12345", 16),
            (b"PROXY TCP6 1:2:3:4:5:6:7:8:", 27),
            (b"PROXY TCP6 1::2:3:4:5:6:7:8", 26),
            (b"PROXY TCP6 ::1.2.3.256", 22),
            (b"PROXY TCP6 fe80::1%eth0", 19),
            (b"PROXY TCP6 " + b"0000:" * 6 + b"100.100.100.100", 47),
            (b"PROXY TCP6 ::1 " + b"0000:" * 6 + b"100.100.100.100", 51),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 065", 29),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536", 32),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 -1", 28),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", 29),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", 31),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", 30),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 31),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rG", 32),
            (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", 106),
            (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\r\n", 107),
        ],
    )
    def test_a_fault_is_known_at_the_first_byte_that_tells(
        self, line: bytes, known_after: int
    ) -> None:
        assert arriving(line) == (known_after, "bad")
        assert outcome(line + GET) == "bad"


class TestVersion2:
    @pytest.mark.parametrize(
        ("header", "source"),
        [
            (INET, "203.0.113.7"),
            (binary(0x21, 0x12, bytes(12)), "0.0.0.0"),
            (
                binary(0x21, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::1") + bytes(20)),
                "2001:db8::1",
            ),
            (
                binary(0x21, 0x22, bytes(10) + b"\xff\xff\x01\x02\x03\x04" + bytes(20)),
                "1.2.3.4",
            ),
            (LOCAL, None),
            (binary(0x20, 0x11, INET[16:]), None),
            (binary(0x20, 0xEE, b"?"), None),
            (binary(0x21, 0x00, b""), None),
            (binary(0x21, 0x00, b"anything"), None),
            (binary(0x21, 0x01, b""), None),
            (binary(0x21, 0x10, INET[16:]), None),
            (binary(0x21, 0x20, bytes(36)), None),
            (binary(0x21, 0x31, b"/run/s".ljust(216, b"\0")), None),
            (binary(0x21, 0x32, bytes(216)), None),
            (binary(0x21, 0x11, INET[16:] + b"\x04\x00\x01\x00"), "203.0.113.7"),
            (binary(0x21, 0x11, INET[16:] + b"no TLV"), "203.0.113.7"),
            (binary(0x21, 0x11, INET[16:].ljust(MAX_LENGTH)), "203.0.113.7"),
        ],
    )
    def test_a_header_is_as_long_as_it_says(self, header: bytes, source: str | None) -> None:
        assert parse(header) == Header(len(header), source)
        assert parse(header + GET) == Header(len(header), source)
        assert arriving(header + GET) == (len(header), Header(len(header), source))

    @pytest.mark.parametrize(
        ("header", "known_after"),
        [
            (b"\r\n\r\nGET", 5),
            (SIGNATURE[:-1] + b"\r", 12),
            (binary(0x11, 0x11, INET[16:]), 13),
            (binary(0x31, 0x11, INET[16:]), 13),
            (binary(0x22, 0x11, INET[16:]), 13),
            (binary(0x21, 0x41, INET[16:]), 14),
            (binary(0x21, 0x13, INET[16:]), 14),
            (binary(0x21, 0x11, INET[16:], length=11), 16),
            (binary(0x21, 0x12, b"", length=0), 16),
            (binary(0x21, 0x21, bytes(36), length=35), 16),
            (binary(0x21, 0x22, bytes(36), length=12), 16),
            (binary(0x21, 0x31, bytes(216), length=215), 16),
            (binary(0x21, 0x32, bytes(216), length=215), 16),
            (binary(0x21, 0x11, INET[16:], length=MAX_LENGTH + 1), 15),
            (binary(0x20, 0x00, b"", length=0xFFFF), 15),
        ],
    )
    def test_a_fault_is_known_at_the_first_byte_that_tells(
        self, header: bytes, known_after: int
    ) -> None:
        assert arriving(header) == (known_after, "bad")
        assert outcome(header + GET) == "bad"


def test_nothing_yet_is_no_header_yet() -> None:
    assert parse(b"") is None


Address = IPv4Address | IPv6Address

ports = st.integers(0, 65535)
v4: st.SearchStrategy[Address] = st.integers(0, 2**32 - 1).map(IPv4Address)
v6: st.SearchStrategy[Address] = st.one_of(
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**32 - 1).map(lambda low: 0xFFFF << 32 | low),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**64 - 1).map(lambda high: high << 64),
).map(IPv6Address)
spellings = st.sampled_from((str, lambda ip: ip.exploded, lambda ip: str(ip).upper()))


def expected(ip: Address) -> str:
    """An address in canonical text, without the code under test."""
    if isinstance(ip, IPv6Address) and ip.packed.startswith(bytes(10) + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, ip.packed[12:])
    return str(ip)


@st.composite
def lines(draw: st.DrawFn) -> tuple[bytes, str | None]:
    version = draw(st.sampled_from("46?"))
    if version == "?":
        noise = draw(st.binary(max_size=91).filter(lambda noise: b"\r\n" not in noise + b"\r"))
        return b"PROXY UNKNOWN " + noise + b"\r\n", None
    addresses = v4 if version == "4" else v6
    source, destination = draw(addresses), draw(addresses)
    spell = draw(spellings)
    pair = f"{spell(source)} {spell(destination)} {draw(ports)} {draw(ports)}"
    return f"PROXY TCP{version} {pair}\r\n".encode(), expected(source)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[bytes, str | None]:
    six, tail = draw(st.booleans()), draw(st.binary(max_size=40))
    addresses = v6 if six else v4
    source, destination = draw(addresses), draw(addresses)
    transport = draw(st.integers(0, 2))
    body = source.packed + destination.packed + struct.pack("!HH", draw(ports), draw(ports))
    header = binary(0x21, (0x20 if six else 0x10) | transport, body + tail)
    return header, expected(source) if transport else None


headers = st.one_of(lines(), blocks())


class TestAnyHeader:
    @settings(deadline=None)
    @given(headers, st.binary(max_size=20))
    def test_the_address_comes_back_and_the_rest_is_left(
        self, header: tuple[bytes, str | None], rest: bytes
    ) -> None:
        data, source = header
        assert parse(data + rest) == Header(len(data), source)

    @settings(deadline=None, max_examples=50)
    @given(headers)
    def test_every_part_of_it_waits_for_more(self, header: tuple[bytes, str | None]) -> None:
        data, source = header
        assert arriving(data) == (len(data), Header(len(data), source))


class TestAnyBytes:
    @settings(deadline=None, max_examples=200)
    @given(
        st.one_of(
            st.binary(max_size=120),
            st.text("PROXYTCUNKW46 0123456789.:af\r\n", max_size=60).map(
                lambda text: b"PROXY " + text.encode()
            ),
            headers.map(lambda header: header[0] + GET),
        ),
        st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=2),
        st.integers(0, 1 << 16),
    )
    def test_more_bytes_never_change_what_was_known(
        self, data: bytes, changes: list[tuple[int, int]], cut: int
    ) -> None:
        changed = bytearray(data)
        for place, byte in changes:
            if changed:
                changed[place % len(changed)] = byte
        data = bytes(changed)
        known = outcome(data[: cut % (len(data) + 1)])
        assert known in (None, outcome(data))
        assert outcome(data) == arriving(data)[1]
