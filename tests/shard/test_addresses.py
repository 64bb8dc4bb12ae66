"""Addresses as clients and proxies write them, whom to believe, and how many connect from one."""

from collections import Counter
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shard.addresses import (
    MAX_CHARS,
    MAX_ENTRIES,
    REMEMBERED,
    Networks,
    PerAddress,
    canonical,
    forwarded,
    network,
)

TRUSTED = Networks(("127.0.0.1", "10.0.0.0/8", "fd00::/8"))


class TestCanonical:
    @pytest.mark.parametrize(
        ("address", "text"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::ffff:102:304", "1.2.3.4"),
            ("::1.2.3.4", "::102:304"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:1.2.3.4%eth0", "1.2.3.4"),
            (b"\x01\x02\x03\x04", "1.2.3.4"),
            (bytes(10) + b"\xff\xff\x01\x02\x03\x04", "1.2.3.4"),
            (bytes(15) + b"\x01", "::1"),
        ],
    )
    def test_an_address_has_one_text(self, address: str | bytes, text: str) -> None:
        assert canonical(address) == text

    @pytest.mark.parametrize(
        "text",
        ["", "a", "1.2.3", "1.2.3.256", "01.2.3.4", " 1.2.3.4", "１.2.3.4", ":::", "1.2.3.4%a"],
    )
    def test_what_is_no_address_has_none(self, text: str) -> None:
        assert canonical(text) is None

    def test_bytes_of_another_length_have_none(self) -> None:
        assert canonical(b"12345") is None


class TestNetworks:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3", "fd00::1", "fdff::1%eth0"],
    )
    def test_an_address_of_one_is_in(self, address: str) -> None:
        assert address in TRUSTED
        assert address in TRUSTED, "asked again"

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.2", "9.255.255.255", "11.0.0.0", "::1", "fe00::1", "::10.1.2.3", "", "10.0.0"],
    )
    def test_any_other_text_is_not(self, address: str) -> None:
        assert address not in TRUSTED
        assert address not in TRUSTED, "asked again"

    def test_none_hold_nothing(self) -> None:
        assert "127.0.0.1" not in Networks(())

    def test_a_single_mapped_address_is_the_ipv4_one(self) -> None:
        assert "10.0.0.1" in Networks(["::ffff:10.0.0.1"])

    def test_text_too_long_for_an_address_is_not_even_remembered(self) -> None:
        zone = "x" * (MAX_CHARS - len("fd00::1%"))
        assert f"fd00::1%{zone}" in TRUSTED
        assert f"fd00::1%{zone}x" not in TRUSTED

    def test_it_is_right_about_more_addresses_than_it_remembers(self) -> None:
        half = Networks(["10.0.0.0/24", "10.0.2.0/24", "10.0.4.0/24", "10.0.6.0/24"])
        addresses = [str(IPv4Address(0x0A000000 + low)) for low in range(2 * REMEMBERED)]
        assert sum(address in half for address in addresses) == REMEMBERED
        assert [address in half for address in addresses[254:258]] == [True, True, False, False]

    @pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1:80"])
    def test_what_is_no_network_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011
            Networks(["127.0.0.1", text])

    def test_an_address_is_a_network_of_one(self) -> None:
        assert str(network("10.0.0.1")) == "10.0.0.1/32"
        assert str(network("fd00::/8")) == "fd00::/8"

    @pytest.mark.parametrize(
        ("mapped", "plain"),
        [
            ("::ffff:10.0.0.0/120", "10.0.0.0/24"),
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", None),
            ("::/0", "::/0"),
        ],
    )
    def test_a_network_of_mapped_addresses_is_the_ipv4_one(
        self, mapped: str, plain: str | None
    ) -> None:
        if plain is None:
            with pytest.raises(ValueError, match="host bits"):
                network(mapped)
        else:
            assert str(network(mapped)) == plain


class TestForwarded:
    @pytest.mark.parametrize(
        ("header", "client"),
        [
            (None, "127.0.0.1"),
            ("", "127.0.0.1"),
            ("203.0.113.7", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7", "203.0.113.7"),
            ("6.6.6.6, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
            ("6.6.6.6,203.0.113.7,10.0.0.1,fd00::1", "203.0.113.7"),
            ("10.0.0.3, 10.0.0.2, 10.0.0.1", "10.0.0.3"),
            ("203.0.113.7:61234", "203.0.113.7"),
            ("[2001:db8::1]:61234", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:DB8::1", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, ::ffff:10.0.0.1, [fd00::1]:80", "203.0.113.7"),
            ("\t203.0.113.7 \t,10.0.0.1\t", "203.0.113.7"),
        ],
    )
    def test_the_client_is_the_rightmost_who_is_not_a_proxy(
        self, header: str | None, client: str
    ) -> None:
        assert forwarded(header, "127.0.0.1", TRUSTED) == client

    @pytest.mark.parametrize(
        "entry",
        [
            "",
            "unknown",
            "_hidden",
            "203.0.113.7:",
            "203.0.113.7:123456",
            "203.0.113.7:x",
            "[203.0.113.7]:80",
            "[2001:db8::1",
            "2001:db8::1]:80",
            "[2001:db8::1]x",
            '"203.0.113.7"',
            "203.0.113.7 203.0.113.8",
            "203.0.113.7\n",
            "for=203.0.113.7",
            f"[fe80::1%{'x' * MAX_CHARS}]",
        ],
    )
    def test_an_entry_that_is_no_address_ends_the_search(self, entry: str) -> None:
        assert forwarded(f"6.6.6.6, {entry}", "127.0.0.1", TRUSTED) == "127.0.0.1"
        assert forwarded(f"6.6.6.6, {entry}, 10.0.0.1", "127.0.0.1", TRUSTED) == "10.0.0.1"
        assert forwarded(f"{entry}, 203.0.113.7", "127.0.0.1", TRUSTED) == "203.0.113.7"

    @pytest.mark.parametrize(
        ("peer", "client"),
        [("6.6.6.6", "6.6.6.6"), ("::ffff:6.6.6.6", "6.6.6.6"), ("2001:DB8::1", "2001:db8::1")],
    )
    def test_a_stranger_is_not_believed(self, peer: str, client: str) -> None:
        assert forwarded("203.0.113.7", peer, TRUSTED) == client

    def test_a_peer_without_an_address_is_not_believed(self) -> None:
        assert forwarded("203.0.113.7", "", TRUSTED) == ""

    def test_a_peer_that_came_mapped_into_ipv6_is_believed(self) -> None:
        assert forwarded("203.0.113.7", "::ffff:10.0.0.1", TRUSTED) == "203.0.113.7"

    @pytest.mark.parametrize(("proxies", "found"), [(MAX_ENTRIES - 1, True), (MAX_ENTRIES, False)])
    def test_a_long_chain_is_not_followed_to_its_end(self, proxies: int, found: bool) -> None:
        header = ", ".join(["203.0.113.7", *["10.0.0.1"] * proxies])
        client = "203.0.113.7" if found else "10.0.0.1"
        assert forwarded(header, "127.0.0.1", TRUSTED) == client

    def test_a_header_of_commas_is_no_client(self) -> None:
        assert forwarded("," * 8_000, "127.0.0.1", TRUSTED) == "127.0.0.1"

    @given(
        st.lists(st.sampled_from(("10.0.0.1", "fd00::1", "6.6.6.6", "2001:db8::1"))),
        st.text("0123456789abcdef.:[], %", max_size=60),
    )
    def test_what_a_client_writes_itself_never_counts(self, forged: list[str], noise: str) -> None:
        header = ", ".join([noise, *forged, "203.0.113.7", "10.0.0.1"])
        assert forwarded(header, "127.0.0.1", TRUSTED) == "203.0.113.7"

    @given(st.text(max_size=80))
    def test_whatever_is_written_an_address_comes_out(self, header: str) -> None:
        client = forwarded(header, "127.0.0.1", TRUSTED)
        assert client == canonical(client)


class TestPerAddress:
    def test_an_address_has_its_limit_of_connections(self) -> None:
        viewers = PerAddress(2, 10)
        assert [viewers.enter(row, "1.2.3.4") for row in (3, 4, 5)] == [True, True, False]
        assert viewers.enter(6, "1.2.3.5")

    def test_a_connection_that_leaves_makes_room_for_one(self) -> None:
        viewers = PerAddress(1, 10)
        assert viewers.enter(3, "1.2.3.4")
        viewers.leave(3)
        viewers.leave(3)
        assert [viewers.enter(row, "1.2.3.4") for row in (4, 5)] == [True, False]

    def test_one_that_was_refused_leaves_nothing(self) -> None:
        viewers = PerAddress(1, 10)
        assert viewers.enter(3, "1.2.3.4")
        assert not viewers.enter(4, "1.2.3.4")
        viewers.leave(4)
        assert not viewers.enter(4, "1.2.3.4")

    def test_one_that_never_entered_leaves_nothing(self) -> None:
        viewers = PerAddress(1, 10)
        assert viewers.enter(3, "1.2.3.4")
        viewers.leave(5)
        assert not viewers.enter(5, "1.2.3.4")

    def test_a_row_s_next_connection_takes_the_place_of_its_last(self) -> None:
        viewers = PerAddress(1, 10)
        assert viewers.enter(3, "1.2.3.4")
        assert viewers.enter(3, "1.2.3.5")
        assert viewers.enter(4, "1.2.3.4")

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8:0:1::1", "2001:DB8:0:1:ffff:ffff:ffff:ffff", True),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
            ("1.2.3.4", "::ffff:1.2.3.4", True),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.5", False),
            ("fe80::1%eth0", "fe80::2", True),
            ("", "", True),
            ("no:address", "no:address", True),
            ("no:address", "nor:this", False),
        ],
    )
    def test_an_ipv6_address_counts_as_its_64(self, one: str, other: str, same: bool) -> None:
        viewers = PerAddress(1, 10)
        assert viewers.enter(3, one)
        assert viewers.enter(4, other) is not same

    def test_without_a_limit_nothing_is_counted_or_kept(self) -> None:
        viewers = PerAddress(0, 10)
        assert all(viewers.enter(row, "1.2.3.4") for row in range(1_000_000, 1_000_100))
        viewers.leave(1_000_000)
        viewers.leave(5)
        assert not viewers._rows
        assert not viewers._clients

    def test_nothing_is_kept_of_those_who_left(self) -> None:
        viewers = PerAddress(2, 10)
        for host in range(200):
            assert viewers.enter(host % 10, f"10.0.0.{host}")
        assert len(viewers._clients) == 10
        for row in range(10):
            viewers.leave(row)
        assert not viewers._clients


ROWS = 12
LIMIT = 3
households = st.sampled_from(("1.2.3.4", "1.2.3.5", "2001:db8::", "2001:db8:0:1::"))
hosts = st.integers(0, 2**64 - 1)
rows = st.integers(0, ROWS - 1)


class Comings(RuleBasedStateMachine):
    """Viewers come and go as they like; a model counts them, too."""

    def __init__(self) -> None:
        super().__init__()
        self.viewers = PerAddress(LIMIT, ROWS)
        self.model: dict[int, str] = {}

    @rule(row=rows, household=households, host=hosts)
    def enter(self, row: int, household: str, host: int) -> None:
        six = ":" in household
        address = str(IPv6Address(int(IPv6Address(household)) + host)) if six else household
        self.model.pop(row, None)
        free = Counter(self.model.values())[household] < LIMIT
        assert self.viewers.enter(row, address) is free
        if free:
            self.model[row] = household

    @rule(row=rows)
    def leave(self, row: int) -> None:
        self.viewers.leave(row)
        self.model.pop(row, None)

    @invariant()
    def only_who_is_there_is_kept(self) -> None:
        counted = {client.name: client.connections for client in self.viewers._clients.values()}
        assert counted == Counter(self.model.values())


TestComings = Comings.TestCase
TestComings.settings = settings(deadline=None, max_examples=50)
