"""The manifests, put together as kubectl does it and held against Kubernetes' own schemas."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from chat.config.load import load_config
from chat.node import workers_end_s
from shard.handshake import PROBES

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
VERSIONS = ("1.31", "1.34")
Manifest = dict[str, Any]

pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl: apt install kubernetes-client"
)


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    done = subprocess.run(
        ["kubectl", "kustomize", FOLDER], capture_output=True, text=True, timeout=60, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


def one(manifests: list[Manifest], kind: str, name: str = "danmaku") -> Manifest:
    (found,) = [it for it in manifests if (it["kind"], it["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture
def pod(manifests: list[Manifest]) -> Manifest:
    """What the nodes' pods are."""
    return dict(one(manifests, "Deployment")["spec"]["template"]["spec"])


@pytest.fixture
def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    return dict(found)


@pytest.mark.parametrize("version", VERSIONS)
class TestSchemas:
    def test_they_have_nothing_to_say_against_any(
        self, manifests: list[Manifest], version: str
    ) -> None:
        assert len(manifests) == 10
        for manifest in manifests:
            kubernetes_validate.validate(manifest, version, strict=True)

    def test_what_is_wrong_would_be_said(self, manifests: list[Manifest], version: str) -> None:
        wrong = one(manifests, "Deployment")
        spec = wrong["spec"] | {"minReadySecond": wrong["spec"]["minReadySeconds"]}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong | {"spec": spec}, version, strict=True)


def test_each_file_is_put_in_or_is_the_adapters() -> None:
    parts = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {*parts["resources"], *parts["configMapGenerator"][0]["files"]}
    assert files | {"kustomization.yaml", "adapter-rules.yaml"} == {
        path.name for path in FOLDER.iterdir()
    }


class TestNodes:
    def test_their_configuration_is_one(
        self, manifests: list[Manifest], container: Manifest
    ) -> None:
        config = load_config(FOLDER / "config.toml", {})
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"viewers": config.server.port, "api": config.api.port}
        assert config.api.host == "0.0.0.0"  # or no other pod reaches it
        assert container["resources"]["requests"]["cpu"] == str(config.server.shards)
        bus = one(manifests, "Service", "danmaku-bus")
        assert config.bus.url == f"redis://{bus['metadata']['name']}:6379/0"
        assert bus["spec"]["clusterIP"] == "None"

    def test_variables_are_keys_of_the_configuration(self, container: Manifest) -> None:
        known = {"DANMAKU_API_KEY": "k" * 32, "DANMAKU_AUTH_SECRET": "s" * 32}
        values = known | {"DANMAKU_API_KEYS": "[]"}
        assert {one["name"] for one in container["env"]} == set(values)
        load_config(FOLDER / "config.toml", values)
        for variable in container["env"]:
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "danmaku-keys"

    def test_probes_ask_what_the_viewers_port_answers(self, container: Manifest) -> None:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["port"] == "viewers"
            assert asked["path"] in PROBES
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"

    def test_they_have_the_time_to_drain(self, pod: Manifest, container: Manifest) -> None:
        config = load_config(FOLDER / "config.toml", {})
        _, waited = container["lifecycle"]["preStop"]["exec"]["command"]
        grace = pod["terminationGracePeriodSeconds"]
        assert grace > int(waited) + workers_end_s(config)
        probe = container["readinessProbe"]
        assert int(waited) > probe["periodSeconds"] * probe["failureThreshold"]

    def test_neighbours_put_nothing_into_their_environment(self, pod: Manifest) -> None:
        assert pod["enableServiceLinks"] is False

    def test_they_write_to_a_tmpfs_only(self, pod: Manifest, container: Manifest) -> None:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        writable = [one["name"] for one in container["volumeMounts"] if not one.get("readOnly")]
        assert writable == ["tmp"]
        (tmp,) = [one for one in pod["volumes"] if one["name"] == "tmp"]
        assert tmp["emptyDir"]["medium"] == "Memory"


class TestScaling:
    def test_it_is_by_a_metric_that_the_adapter_gives(self, manifests: list[Manifest]) -> None:
        scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
        (metric,) = scaler["metrics"]
        (rule,) = yaml.safe_load((FOLDER / "adapter-rules.yaml").read_text())["rules"]
        assert re.fullmatch(rule["name"]["matches"], metric["pods"]["metric"]["name"])

    def test_the_target_leaves_room_in_each_node(self, manifests: list[Manifest]) -> None:
        config = load_config(FOLDER / "config.toml", {})
        (metric,) = one(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
        room = config.server.shards * config.limits.connections
        assert int(metric["pods"]["target"]["averageValue"]) < 0.8 * room

    def test_all_speak_of_the_same_pods(self, manifests: list[Manifest]) -> None:
        nodes = one(manifests, "Deployment")["spec"]
        labels = nodes["template"]["metadata"]["labels"]
        assert nodes["selector"]["matchLabels"] == labels
        assert one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
        assert one(manifests, "Service")["spec"]["selector"] == labels
        (rule,) = one(manifests, "NetworkPolicy", "danmaku-bus")["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
