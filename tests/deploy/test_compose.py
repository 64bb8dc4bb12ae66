"""The compose file, as its schema has it, and what it mounts, made and read by a real node."""

import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.local import Node
from chat.config.load import load_config
from chat.node import workers_end_s
from shard.listen import RESERVED_DESCRIPTORS

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "compose"
FILE = FOLDER / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node-")}
NODE = load_config(FOLDER / "node.toml", {})
MADE = "./secrets/"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="no openssl: apt install openssl"
)


def validate(file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(file)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )


def prepare(folder: Path) -> None:
    subprocess.run([FOLDER / "prepare", folder], check=True, timeout=60, capture_output=True)


def environment(file: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in file.read_text().splitlines())
    return {name: value.strip("'") for name, _, value in lines}


class TestCompose:
    def test_its_schema_has_nothing_to_say_against_it(self) -> None:
        done = validate(FILE)
        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize(
        ("right", "wrong"),
        [("service_healthy", "service_well"), ("stop_grace_period", "stop_graceperiod")],
    )
    def test_what_is_wrong_would_be_said(self, tmp_path: Path, right: str, wrong: str) -> None:
        file = tmp_path / "compose.yaml"
        file.write_text(FILE.read_text().replace(right, wrong))
        assert validate(file).returncode == 1

    def test_what_is_mounted_is_there_or_made(self) -> None:
        for service in SERVICES.values():
            for mount in service.get("volumes", ()):
                source = mount.partition(":")[0]
                if source.startswith(".") and not source.startswith(MADE):
                    assert (FOLDER / source).exists(), source

    def test_nodes_are_where_nginx_and_prometheus_look(self) -> None:
        addresses = {node["networks"]["inside"]["ipv4_address"] for node in NODES.values()}
        asked = re.findall(
            r"^ *server ([0-9.]+):8000 ", (DEPLOY / "proxies/nginx.conf").read_text(), re.MULTILINE
        )
        assert addresses == set(asked)
        (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
        (targets,) = job["static_configs"]
        assert targets["targets"] == [f"{name}:{NODE.api.port}" for name in NODES]

    def test_nginx_is_whom_nodes_trust(self) -> None:
        address = SERVICES["nginx"]["networks"]["inside"]["ipv4_address"]
        assert NODE.server.trusted_proxies == (address,)

    def test_a_node_may_have_the_files_open_that_it_needs_and_the_time_to_end(self) -> None:
        for node in NODES.values():
            assert node["ulimits"]["nofile"] >= NODE.limits.connections + RESERVED_DESCRIPTORS
            assert node["sysctls"]["net.core.somaxconn"] >= NODE.server.accept_backlog
            assert int(node["stop_grace_period"].removesuffix("s")) > workers_end_s(NODE)

    def test_its_root_is_read_only_and_it_has_no_rights(self) -> None:
        for node in NODES.values():
            assert node["read_only"]
            assert node["cap_drop"] == ["ALL"]
            assert [one.partition(":")[0] for one in node["tmpfs"]] == ["/tmp"]


@needs_openssl
class TestPrepare:
    def test_a_node_takes_the_keys_and_prometheus_may_only_read_metrics(
        self, tmp_path: Path
    ) -> None:
        made = tmp_path / "secrets"
        prepare(made)
        settings = {
            name.removeprefix("DANMAKU_").lower(): value
            for name, value in environment(made / "node.env").items()
        }
        key = (made / "metrics-key").read_text()
        with Node(tmp_path, **settings) as node:
            bearer = {"Authorization": f"Bearer {key}"}
            assert "danmaku_connections" in node.request("GET", "/metrics", headers=bearer)[1]
            body = {"text": "hi", "uid": "u1"}
            assert node.request("POST", "/v1/rooms/r/messages", body, bearer)[0] == 403
            all_of_it = {"Authorization": f"Bearer {settings['api_key']}"}
            assert node.request("POST", "/v1/rooms/r/messages", body, all_of_it)[0] == 200

    def test_the_certificate_is_localhosts_and_fits_its_key(self, tmp_path: Path) -> None:
        prepare(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "tls/fullchain.pem", tmp_path / "tls/privkey.pem")

    def test_what_is_there_is_left_alone(self, tmp_path: Path) -> None:
        prepare(tmp_path)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        before = {file: file.read_text() for file in files}
        assert len(before) == 5
        prepare(tmp_path)
        assert before == {file: file.read_text() for file in files}

    def test_no_secret_is_for_others(self, tmp_path: Path) -> None:
        made = tmp_path / "secrets"
        prepare(made)
        assert made.stat().st_mode & 0o777 == 0o700
        assert (made / "node.env").stat().st_mode & 0o777 == 0o600
        assert (made / "tls/privkey.pem").stat().st_mode & 0o777 == 0o600
