"""What several values must be together."""

import pytest

from chat.config.load import load_config
from tests.chat.config.refusals import SECRET, problems_of


class TestKeysTogether:
    @pytest.mark.parametrize(
        ("environ", "problem"),
        [
            (
                {"DANMAKU_LIMITS_BACKLOG_HARD_BYTES": "5000"},
                "limits.backlog_hard_bytes: 5000 is less than limits.backlog_soft_bytes, 262144",
            ),
            (
                {"DANMAKU_LIMITS_BACKLOG_TOTAL_BYTES": "5000"},
                "limits.backlog_total_bytes: 5000 is less than limits.backlog_hard_bytes, 1048576",
            ),
            (
                {"DANMAKU_API_PORT": "8000"},
                "api.port: 8000 is also server.port; each needs its own",
            ),
            (
                {"DANMAKU_SERVER_CLIENT_ADDRESS": "proxy-protocol"},
                'server.client_address: "proxy-protocol" needs server.trusted_proxies, the '
                'addresses whose word is taken; a proxy on this machine is "127.0.0.1"',
            ),
            (
                {"DANMAKU_SERVER_TRUSTED_PROXIES": '["127.0.0.1"]'},
                "server.trusted_proxies: only has a meaning with server.client_address = "
                '"proxy-protocol" or "x-forwarded-for", whichever these proxies send',
            ),
            (
                {
                    "DANMAKU_SERVER_PUBLIC_URL": "https://a.example/chat",
                    "DANMAKU_SERVER_ORIGINS": '["https://b.example"]',
                },
                "server.public_url: is not among server.origins, so the page there could not "
                'connect; add "https://a.example"',
            ),
            (
                {"DANMAKU_BUS_URL": "redis://h", "DANMAKU_BUS_DATA_DIR": "/data"},
                'bus.data_dir: only has a meaning with bus.url = "embedded"; '
                "another server keeps its own data",
            ),
            (
                {"DANMAKU_AUTH_GUESTS": "refuse"},
                'auth.guests: "refuse" without auth.secret or auth.public_keys '
                "leaves nobody who could connect",
            ),
            (
                {"DANMAKU_WEBHOOKS_URL": "http://h/", "DANMAKU_WEBHOOKS_EVENTS": "[]"},
                "webhooks.events: name at least one event, or leave webhooks.url empty",
            ),
        ],
    )
    def test_what_contradicts_is_refused(self, environ: dict[str, str], problem: str) -> None:
        assert problems_of(environ=environ) == [problem]

    @pytest.mark.parametrize(
        "environ",
        [
            {"DANMAKU_LIMITS_BACKLOG_HARD_BYTES": "262144"},
            {"DANMAKU_ROOMS_HISTORY": "30"},
            {"DANMAKU_BUS_DATA_DIR": "/data"},
            {
                "DANMAKU_SERVER_CLIENT_ADDRESS": "x-forwarded-for",
                "DANMAKU_SERVER_TRUSTED_PROXIES": '["10.0.0.0/8", "fd00::1"]',
            },
            {"DANMAKU_AUTH_GUESTS": "refuse", "DANMAKU_AUTH_SECRET": SECRET},
            {"DANMAKU_API_HOST": "0.0.0.0"},
            {
                "DANMAKU_API_PORT": "8000",
                "DANMAKU_API_HOST": "10.0.0.1",
                "DANMAKU_SERVER_HOST": "10.0.0.2",
            },
        ],
    )
    def test_what_fits_is_taken(self, environ: dict[str, str]) -> None:
        load_config(None, environ)
