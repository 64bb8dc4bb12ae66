"""The bodies of moderation: what they share with a moderator's command is the same there."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from chat.api.rulings import (
    AuditEntryOut,
    BanOut,
    KickIn,
    MuteOut,
    SanctionIn,
    SettingsIn,
    SettingsOut,
)
from chat.policy.moderation import MOST_OWNERS
from chat.policy.orders import SETTINGS
from chat.policy.rules import Settings
from chat.wire.commands import Moderate
from tests.chat.api.test_models import told


class TestOrders:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_a_setting_has_the_commands_bounds(self, name: str) -> None:
        assert told(SettingsIn, name) == told(Moderate, name)

    @pytest.mark.parametrize("name", ["seconds", "reason"])
    def test_a_sanction_has_the_commands_bounds(self, name: str) -> None:
        assert told(SanctionIn, name) == told(Moderate, name)
        if name == "reason":
            assert told(KickIn, name) == told(SettingsIn, name) == told(Moderate, name)

    def test_what_is_not_named_is_not_set(self) -> None:
        assert set(msgspec.structs.asdict(SettingsIn()).values()) == {UNSET}

    def test_there_are_as_many_owners_as_may_be(self) -> None:
        for count in (0, MOST_OWNERS):
            assert msgspec.convert({"owners": ["u"] * count}, SettingsIn)
        with pytest.raises(msgspec.ValidationError, match=r"\$\.owners"):
            msgspec.convert({"owners": ["u"] * (MOST_OWNERS + 1)}, SettingsIn)

    @pytest.mark.parametrize("kind", [SanctionIn, KickIn, SettingsIn])
    def test_a_misspelt_field_is_refused(self, kind: type[msgspec.Struct]) -> None:
        needed = {"uid": "u"} if kind is KickIn else {}
        with pytest.raises(msgspec.ValidationError, match="reasn"):
            msgspec.convert(needed | {"reasn": "x"}, kind)


class TestAnswers:
    def test_settings_are_all_there_are(self) -> None:
        fields = set(SettingsOut.__struct_fields__)
        assert fields == {"room", *Settings.__struct_fields__, "owners", "words"}

    @pytest.mark.parametrize(
        ("body", "written"),
        [
            (MuteOut("u", True, None, 0), {"uid": "u", "muted": True, "until": 0}),
            (MuteOut("u", False, "r"), {"uid": "u", "muted": False, "room": "r"}),
            (BanOut("u", True, "r", 7), {"uid": "u", "banned": True, "room": "r", "until": 7}),
            (AuditEntryOut("1-0", 5, "mute"), {"id": "1-0", "ts": 5, "action": "mute"}),
        ],
    )
    def test_what_there_is_not_is_left_out_and_for_good_is_said(
        self, body: msgspec.Struct, written: dict[str, Any]
    ) -> None:
        assert msgspec.to_builtins(body) == written
