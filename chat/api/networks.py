"""Addresses and networks, as the OpenAPI document tells them.

Rules. A network's host bits are 0, which a pattern of its digits can say: of the octet in which the
prefix ends only some numbers are left, and those behind it are 0. Networks of IPv6 are told as they
are written as a rule: whole digits of the prefix, then `::`. Others are accepted as well.
"""

from typing import Any, Final

OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"


def schema() -> dict[str, Any]:
    """An address or a network."""
    return {
        "type": "string",
        "description": "An IPv4 or IPv6 address, or a network in CIDR notation, whose host bits "
        "are 0.",
        "anyOf": [
            {"format": "ipv4"},
            {"format": "ipv6"},
            {"pattern": f"^(?:{'|'.join(map(_of_4, range(8, 33)))})$"},
            {"pattern": f"^(?:{'|'.join(map(_of_6, range(16, 113, 4)))})$"},
        ],
    }


def _of_4(prefix: int) -> str:
    whole, bits = divmod(prefix, 8)
    octets = [OCTET] * whole
    if bits:
        step = 1 << (8 - bits)
        octets.append(f"(?:{'|'.join(map(str, range(0, 256, step)))})")
    octets += ["0"] * (4 - len(octets))
    return r"\.".join(octets) + f"/{prefix}"


def _of_6(prefix: int) -> str:
    whole, digits = divmod(prefix // 4, 4)
    groups = "(?:[0-9a-f]{1,4}:)" + f"{{{whole}}}"
    last = f"[0-9a-f]{{{digits}}}{'0' * (4 - digits)}:" if digits else ""
    return f"{groups}{last}:/{prefix}"
