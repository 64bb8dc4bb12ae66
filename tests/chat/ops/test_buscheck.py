"""Is the bus there, and what has a person to mend? Asked of a real Valkey over TCP."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest
import redis

from bench.local import free_port
from chat.ops.buscheck import Unusable, check_bus
from chat.ops.engine import EmbeddedEngine, find_binary
from tests.servers import Sentinels

pytestmark = pytest.mark.skipif(find_binary() is None, reason="no Valkey or Redis server here")


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    """With a password, and a user who may do nothing."""
    with EmbeddedEngine(tcp_port=0) as engine:
        with redis.Redis.from_url(engine.url, protocol=2) as client:
            client.execute_command("ACL", "SETUSER", "idle", "on", ">pass", "-@all")
            client.config_set("requirepass", "hunter2")
        yield engine


def faulty(url: str) -> str:
    with pytest.raises(Unusable) as found:
        check_bus(url, 5.0)
    said = str(found.value)
    assert "\n" not in said
    assert "hunter2" not in said
    return said


def at(
    engine: EmbeddedEngine, user: str = ":hunter2", rest: str = "", scheme: str = "redis"
) -> str:
    return f"{scheme}://{user}@127.0.0.1:{engine.tcp_port}{rest}"


class TestThere:
    @pytest.mark.parametrize("rest", ["", "/0", "/0?health_check_interval=5"])
    def test_one_that_answers_is_nothing_to_tell(self, engine: EmbeddedEngine, rest: str) -> None:
        assert check_bus(at(engine, rest=rest), 5.0) == ""


class TestMany:
    def test_one_that_answers_is_enough(self, engine: EmbeddedEngine) -> None:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{engine.tcp_port}"
        assert check_bus(f"redis+cluster://:hunter2@{hosts}", 5.0) == ""

    def test_a_sentinel_has_to_know_the_master(self) -> None:
        with Sentinels() as sentinels:
            assert check_bus(sentinels.url, 5.0) == ""
            said = faulty(sentinels.url.replace("mymaster", "other"))
            assert "no master is called 'other'" in said

    def test_nobody_there_is_no_fault(self) -> None:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"
        for url in (f"redis+cluster://{hosts}", f"redis+sentinel://{hosts}/m"):
            assert "connecting to 127.0.0.1" in check_bus(url, 5.0)

    def test_what_all_say_has_to_be_mended(self, engine: EmbeddedEngine) -> None:
        url = f"redis+cluster://:wrong@127.0.0.1:{engine.tcp_port}"
        assert "refuses the user or password" in faulty(url)


class TestAway:
    def test_nobody_there_is_no_fault(self) -> None:
        assert "connecting to 127.0.0.1" in check_bus(f"redis://127.0.0.1:{free_port()}", 5.0)
        assert "No such file" in check_bus("unix:///nowhere/to/be.sock", 5.0)
        assert check_bus(f"rediss://127.0.0.1:{free_port()}", 5.0)

    def test_nor_is_one_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            assert check_bus(f"redis://127.0.0.1:{silent.getsockname()[1]}", 0.05)
            assert check_bus(f"rediss://127.0.0.1:{silent.getsockname()[1]}", 0.05)

    def test_nor_is_one_that_was_stopped(self) -> None:
        with EmbeddedEngine() as engine:
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGSTOP)
            assert check_bus(engine.url, 0.05)


class TestToBeMended:
    @pytest.mark.parametrize("user", ["", ":wrong", "nobody:hunter2"])
    def test_who_we_are(self, engine: EmbeddedEngine, user: str) -> None:
        said = faulty(at(engine, user))
        assert said.startswith(
            f"the bus redis://127.0.0.1:{engine.tcp_port} refuses the user or password ("
        )
        assert said.endswith("correct them in bus.url")

    def test_what_we_may_do(self, engine: EmbeddedEngine) -> None:
        assert "does not let this user do what is needed" in faulty(at(engine, "idle:pass"))

    def test_a_database_there_is_not(self, engine: EmbeddedEngine) -> None:
        assert "refuses the connection (DB index is out of range)" in faulty(at(engine, rest="/7"))
        assert "expected a database number" in faulty(at(engine, rest="/x"))
        assert "DB index" in faulty(f"unix://:hunter2@{engine.socket_path}?db=7")

    def test_an_option_there_is_not_or_with_a_wrong_value(self, engine: EmbeddedEngine) -> None:
        assert "expected no such option" in faulty(at(engine, rest="/0?fast=1"))
        wrong = at(engine, rest="/0?health_check_interval=soon")
        assert "an option with a wrong value, 'health_check_interval'" in faulty(wrong)

    @pytest.mark.parametrize("host", ["nobody.invalid", "a..b", "x" * 70, "256.1.1.1"])
    def test_a_name_that_does_not_resolve(self, host: str) -> None:
        assert "has a host name that does not resolve" in faulty(f"redis://{host}:6379")

    def test_tls_to_one_without(self, engine: EmbeddedEngine) -> None:
        said = faulty(at(engine, scheme="rediss"))
        assert "speaks no TLS on this port" in said
        assert "redis:// is without TLS" in said

    def test_certificates_that_are_not_there(self, engine: EmbeddedEngine) -> None:
        rest = "?ssl_ca_certs=/nowhere.pem"
        assert "a file of certificates" in faulty(at(engine, rest=rest, scheme="rediss"))

    def test_something_else_that_answers_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            child = os.fork()
            if child == 0:
                while True:
                    client, _ = other.accept()
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            try:
                url = f"127.0.0.1:{other.getsockname()[1]}"
                assert "does not speak the Redis protocol" in faulty(f"redis://{url}")
                assert "does not agree to TLS" in faulty(f"rediss://{url}")
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
