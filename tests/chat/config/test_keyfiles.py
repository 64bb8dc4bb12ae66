"""Files of public keys, PEM and JWK Sets, and what is wrong with those that are refused."""

import datetime
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from chat.config.keyfiles import MOST_BYTES, MOST_KEYS, BadKeys, parse_keys, read_keys
from tests.chat.config.keys import ED25519, P256, RSA, private_pem, public_jwk, public_pem

OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


def a_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def named(data: bytes) -> list[tuple[str, str]]:
    return [(key.kid, key.algorithm) for key in parse_keys(data)]


class TestPem:
    def test_a_key_says_its_algorithm(self) -> None:
        for key, algorithm in ((RSA, "RS256"), (P256, "ES256"), (ED25519, "EdDSA")):
            assert named(public_pem(key)) == [("", algorithm)]

    def test_a_file_may_have_several_and_words_between(self) -> None:
        data = b"# ours\n" + public_pem(RSA) + b"# theirs\r\n" + public_pem(ED25519)
        assert named(data) == [("", "RS256"), ("", "EdDSA")]

    def test_a_certificate_has_one(self) -> None:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login")])
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder(
            *(name, name, P256.public_key(), 7, now, now + datetime.timedelta(days=1))
        ).sign(P256, hashes.SHA256())
        from cryptography.hazmat.primitives.serialization import Encoding

        assert named(made.public_bytes(Encoding.PEM)) == [("", "ES256")]

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (private_pem(RSA), "a private key"),
            (public_pem(OTHER_CURVE), "no public key for RS256, ES256, EdDSA"),
            (public_pem(rsa.generate_private_key(65_537, 1_024)), "1024 bits"),
            (public_pem(RSA)[:200], "no public key"),
            (public_pem(RSA).replace(b"A", b"B"), "cannot be read"),
            (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "cannot be read"),
            (public_pem(P256) * (MOST_KEYS + 1), "more than 32 keys"),
        ],
    )
    def test_others_are_refused_and_why(self, data: bytes, why: str) -> None:
        with pytest.raises(BadKeys, match=why):
            parse_keys(data)


class TestSets:
    def test_keys_have_names(self) -> None:
        data = a_set(public_jwk(RSA, kid="a"), public_jwk(P256, kid="b"), public_jwk(ED25519))
        assert named(data) == [("a", "RS256"), ("b", "ES256"), ("", "EdDSA")]
        assert parse_keys(data)[0].key == RSA.public_key()

    def test_one_key_alone_is_a_set(self) -> None:
        assert named(json.dumps(public_jwk(P256, kid="b")).encode()) == [("b", "ES256")]

    @pytest.mark.parametrize(
        "other",
        [
            public_jwk(RSA, use="enc"),
            public_jwk(RSA, alg="RSA-OAEP"),
            public_jwk(RSA, alg="RS512"),
            public_jwk(OTHER_CURVE),
            {"kty": "new"},
            {},
        ],
    )
    def test_what_is_for_something_else_is_passed_over(self, other: dict[str, Any]) -> None:
        ours = public_jwk(P256, kid="b", use="sig", alg="ES256")
        assert named(a_set(other, ours)) == [("b", "ES256")]
        with pytest.raises(BadKeys, match="no public key for"):
            parse_keys(a_set(other))

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"", "neither PEM nor JSON"),
            (b"\xff", "neither PEM nor JSON"),
            (b"[" * 100_000, "neither PEM nor JSON"),
            (b"[]", "no JWK Set"),
            (b'{"keys": 5}', "no JWK Set"),
            (b'{"keys": [5]}', "no JWK Set"),
            (a_set(), "no public key for"),
            (a_set({"kty": "oct", "k": "c2VjcmV0"}), r"a secret, in keys\[0\]"),
            (a_set(json.loads(RSAAlgorithm.to_jwk(RSA))), "a secret"),
            (a_set({"kty": "RSA", "n": "AQAB"}), r"cannot be read, keys\[0\]"),
            (a_set({"kty": "EC", "crv": "P-256", "x": 5, "y": 6}), "cannot be read"),
            (a_set({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), "cannot be read"),
        ],
    )
    def test_others_are_refused_and_why(self, data: bytes, why: str) -> None:
        with pytest.raises(BadKeys, match=why):
            parse_keys(data)

    def test_what_is_secret_is_not_repeated(self) -> None:
        with pytest.raises(BadKeys) as caught:
            parse_keys(a_set({"kty": "oct", "k": "hunter2"}))
        assert "hunter2" not in str(caught.value)


JWK = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct", "", 5])},
    optional={
        name: st.text(max_size=9) | st.integers() | st.none() | st.lists(st.none(), max_size=1)
        for name in ("kid", "n", "e", "x", "y", "d")
    }
    | {"crv": st.sampled_from(["P-256", "Ed25519", "x", 7]), "use": st.just("sig")},
)


@given(st.binary(max_size=99) | st.lists(JWK, max_size=3).map(lambda keys: a_set(*keys)))
def test_any_bytes_are_keys_or_bad_ones(data: bytes) -> None:
    with suppress(BadKeys):
        assert parse_keys(data)


class TestFiles:
    def test_one_that_is_not_there_or_is_too_large_is_told(self, tmp_path: Path) -> None:
        for path in (str(tmp_path / "none"), str(tmp_path), "\0"):
            with pytest.raises(BadKeys, match="cannot be read"):
                read_keys(path)
        large = tmp_path / "large"
        large.write_bytes(public_pem(RSA) + b"\n" * MOST_BYTES)
        with pytest.raises(BadKeys, match="longer than"):
            read_keys(str(large))

    def test_a_good_one_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "keys").write_bytes(public_pem(P256))
        assert read_keys(str(tmp_path / "keys"))[0].algorithm == "ES256"
