"""Close codes: what may be received, what is sent, and who should come back."""

import re
from pathlib import Path

import pytest

from shard.closecodes import CloseCode, receivable
from shard.frames import encode_close


class TestReceiving:
    @pytest.mark.parametrize(
        "code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
    )
    def test_registered_and_private_codes_may_be_received(self, code: int) -> None:
        assert receivable(code)

    @pytest.mark.parametrize(
        "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
    )
    def test_reserved_and_unregistered_codes_may_not(self, code: int) -> None:
        assert not receivable(code)


class TestSending:
    @pytest.mark.parametrize("code", list(CloseCode))
    def test_every_code_may_be_received_and_its_reason_fits_a_control_frame(
        self, code: CloseCode
    ) -> None:
        assert receivable(code)
        assert code.reason
        assert encode_close(code, code.reason)[4:] == code.reason.encode()

    def test_no_two_codes_share_a_number(self) -> None:
        assert len(CloseCode.__members__) == len(CloseCode)

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            ("PROTOCOL_ERROR", 1002),
            ("INVALID_PAYLOAD", 1007),
            ("TOO_BIG", 1009),
            ("INTERNAL_ERROR", 1011),
            ("RESTART", 4000),
            ("SLOW_READER", 4001),
            ("STALLED", 4002),
            ("HEARTBEAT_TIMEOUT", 4003),
            ("BAD_TOKEN", 4500),
            ("TOKEN_EXPIRED", 4501),
            ("GUESTS_REFUSED", 4502),
            ("FLOODING", 4503),
        ],
    )
    def test_published_numbers_stay(self, name: str, number: int) -> None:
        assert CloseCode[name] == number


@pytest.mark.parametrize("code", list(CloseCode))
def test_every_code_is_sent_by_somebody(code: CloseCode) -> None:
    root = Path(__file__).parents[2]
    sources = [path for name in ("shard", "chat") for path in (root / name).rglob("*.py")]
    word = re.compile(rf"CloseCode\.{code.name}\b")
    assert any(word.search(path.read_text(encoding="utf-8")) for path in sources)
