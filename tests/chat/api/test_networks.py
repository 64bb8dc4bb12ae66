"""Networks as the document tells them: what fits is one, and can be banned."""

from ipaddress import IPv4Network, IPv6Network

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.api.networks import schema
from chat.policy.orders import NotDone, address_name

FITS = jsonschema_rs.Draft202012Validator(schema(), validate_formats=True).is_valid

octets = st.tuples(*[st.integers(0, 255) | st.sampled_from([0, 128, 240])] * 4)
prefixes = st.integers(0, 40)


@given(octets, prefixes)
def test_a_network_of_ipv4_fits_where_its_host_bits_are_0(
    octets: tuple[int, int, int, int], prefix: int
) -> None:
    text = f"{'.'.join(map(str, octets))}/{prefix}"
    try:
        IPv4Network(text)
    except ValueError:
        assert not FITS(text)
    else:
        assert FITS(text) == (prefix >= 8)


@given(st.integers(0, 2**128 - 1), st.integers(4, 28).map(lambda digits: digits * 4))
def test_usual_networks_of_ipv6_fit(number: int, prefix: int) -> None:
    network = IPv6Network((number >> (128 - prefix) << (128 - prefix), prefix))
    groups = network.network_address.exploded.split(":")[: (prefix + 15) // 16]
    whole = ":".join(group.lstrip("0") or "0" for group in groups[: prefix // 16])
    last = f":{groups[-1]}" if prefix % 16 else ""
    text = f"{whole}{last}::/{prefix}"
    assert FITS(text)
    assert address_name(text) == str(network)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1", "::1", "10.0.0.0/8", "2001:db8::/32"])
def test_addresses_fit(text: str) -> None:
    assert FITS(text)
    assert address_name(text)


@pytest.mark.parametrize(
    "text", ["", "x", "00", "10.1.0.0/8", "10.0.0.0/33", "1.2.3", "2001:db8:1::/32"]
)
def test_what_is_none_does_not(text: str) -> None:
    assert not FITS(text)
    with pytest.raises(NotDone):
        address_name(text)
