"""The bus' URL: every form of it, and that no part of a bad one is quoted."""

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.asyncio.connection import parse_url

from chat.config.busurl import SCHEMES, BadUrl, parse

SECRET = "hunter2"


class TestForms:
    @pytest.mark.parametrize(
        ("url", "server"),
        [
            ("redis://h", "redis://h:6379/0"),
            ("redis://u:p%40@h:1/2", "redis://u:p%40@h:1/2"),
            ("rediss://:p@[::1]:7/", "rediss://:p@[::1]:7/0"),
            ("rediss://h?ssl_ca_certs=/a%20b", "rediss://h:6379/0?ssl_ca_certs=%2Fa+b"),
            ("unix:///run/s?db=1", "unix:///run/s?db=1"),
            ("unix://u:p@/run/s", "unix://u:p@/run/s"),
        ],
    )
    def test_one_server(self, url: str, server: str) -> None:
        found = parse(url)
        assert (found.kind, found.single) == ("single", server)

    def test_sentinels_and_the_master_they_know(self) -> None:
        found = parse("redis+sentinel://u:p@s1,s2:5,[::2]/my%20master/3")
        assert (found.kind, found.tls, found.master) == ("sentinel", False, "my master")
        assert found.hosts == (("s1", 26379), ("s2", 5), ("::2", 26379))
        assert found.at("::1", 7) == "redis://u:p@[::1]:7/3"
        assert found.sentinel_at("s1", 26379) == "redis://s1:26379"

    def test_sentinels_with_a_password_of_their_own(self) -> None:
        query = "sentinel_username=s&sentinel_password=a%2Fb&ssl_cert_reqs=none"
        found = parse(f"rediss+sentinel://u:p@h/m?{query}")
        assert found.sentinel_at("h", 1) == "rediss://s:a%2Fb@h:1?ssl_cert_reqs=none"
        assert found.at("h", 1) == "rediss://u:p@h:1/0?ssl_cert_reqs=none"

    def test_a_cluster(self) -> None:
        found = parse("rediss+cluster://:p@n1:7000,n2?ssl_check_hostname=false")
        assert (found.kind, found.tls) == ("cluster", True)
        assert found.hosts == (("n1", 7000), ("n2", 6379))
        assert found.at("n3", 1) == "rediss://:p@n3:1/0?ssl_check_hostname=false"

    @pytest.mark.parametrize(
        ("url", "where"),
        [
            ("redis://us%2Fer:p%40%3A@h/5", {"host": "h", "port": 6379, "db": 5}),
            ("unix://us%2Fer:p%40%3A@/run/s?db=5", {"path": "/run/s", "db": 5}),
        ],
    )
    def test_redis_py_understands_what_it_is_given(self, url: str, where: dict[str, Any]) -> None:
        found = parse_url(parse(url).single)
        assert {name: found[name] for name in where} == where  # type: ignore[literal-required]
        assert (found["username"], found["password"]) == ("us/er", "p@:")


BAD = [
    *("embedded", "hunter2", "redis:h", "redis://", "redis://:1", "redis://h:99999", "redis://h:0"),
    *("redis://[::1", "redis://h:x", "redis://a,b", "redis://h/x", "redis://h/1/2", "unix://"),
    *("unix:///", "unix://host/path", "redis+sentinel://h", "redis+sentinel://h/", "redis://h#x"),
    *("redis+sentinel://h,/m", "redis+sentinel://h/m/x", "redis+cluster://", "redis+cluster://h/1"),
    *("redis+cluster://h,,i", "redis+cluster://h:1:2", "redis+cluster://h i", "redis+other://h"),
    *("redis://h?protocol=3", "redis://h?ssl_ca_certs=x", "redis+cluster://h?db=1"),
    *("rediss://h?ssl_cert_reqs=maybe", "redis://h?db=x", "redis+cluster://h?sentinel_password=x"),
]


class TestRefusing:
    @pytest.mark.parametrize("url", BAD)
    def test_it_is_one_clear_problem(self, url: str) -> None:
        with pytest.raises(BadUrl, match=r"^expected "):
            parse(url)

    @pytest.mark.parametrize("url", [url for url in BAD if "://" in url])
    def test_no_problem_quotes_a_password(self, url: str) -> None:
        with pytest.raises(BadUrl) as refused:
            parse(url.replace("://", f"://u:{SECRET}@"))
        assert SECRET not in str(refused.value)


@given(
    st.sampled_from(SCHEMES),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["h", "h:1,i/m", "h/m?sentinel_password=%s", "h/1", "/run/s", ""]),
    st.booleans(),
)
@example("redis+sentinel://", "/w", "h,i/m", False)
@example("redis://", "us/er", "h/0", False)
def test_whatever_the_password_it_is_not_printed(
    scheme: str, password: str, rest: str, quoted: bool
) -> None:
    secret = f"{SECRET}{password}{SECRET}"
    inside = quote(secret, "") if quoted else secret
    for url in (f"{scheme}u:{inside}@{rest}", f"unix://u:{inside}@/run/s?password={inside}"):
        with suppress(BadUrl):
            assert SECRET not in parse(url).public
