"""Tokens of every kind of key: who is let in, and who is told why not."""

import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from hypothesis import given
from hypothesis import strategies as st

from chat.config.sections import Auth
from chat.policy.claims import LEEWAY_S
from chat.policy.identity import Identity, Refused
from chat.policy.tokens import CannotSign, Tokens, sign
from shard.closecodes import CloseCode
from tests.chat.config.keys import ED25519, P256, RSA, private_pem, public_jwk, public_pem

SECRET = "a secret of more than thirty-two bytes"
OTHER = "another secret, also of good length"
SOON = int(time.time()) + 3_600
CLAIMS = {"sub": "u7", "role": "vip", "rooms": {"live:1": "moderator"}}
SIGNERS: dict[str, PrivateKeyTypes] = {"RS256": RSA, "ES256": P256, "EdDSA": ED25519}


def token(secret: Any = SECRET, algorithm: str = "HS256", kid: str = "", **claims: Any) -> str:
    claims = {"sub": "u7", "exp": SOON} | claims
    return jwt.encode(claims, secret, algorithm, {"kid": kid} if kid else None)


def verify(given: str, **auth: Any) -> Identity:
    return Tokens(Auth(**({"secret": SECRET} | auth))).verify(given)


def refusal(given: str, **auth: Any) -> tuple[CloseCode, str]:
    with pytest.raises(Refused) as caught:
        verify(given, **auth)
    return caught.value.code, str(caught.value)


def jwks(path: Path, **keys: PrivateKeyTypes) -> str:
    """A JWK Set of public keys by their names."""
    path.write_text(json.dumps({"keys": [public_jwk(key, kid=kid) for kid, key in keys.items()]}))
    return str(path)


class TestTokens:
    def test_a_good_one_is_who_it_says(self) -> None:
        found = verify(token(name="阿花", role="moderator"))
        assert (found.uid, found.name, found.role) == ("u7", "阿花", "moderator")
        assert found.expires == SOON + LEEWAY_S

    @pytest.mark.parametrize("ago", [0, LEEWAY_S - 5])
    def test_a_clock_may_be_a_little_late(self, ago: int) -> None:
        assert verify(token(exp=int(time.time()) - ago)).uid == "u7"

    def test_expired_has_its_own_code(self) -> None:
        assert refusal(token(exp=int(time.time()) - LEEWAY_S - 60))[0] is CloseCode.TOKEN_EXPIRED

    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": None}, {"sub": 7}, {"exp": "soon"}, {"exp": None}, {"exp": float("inf")},
            {"exp": float("nan")}, {"exp": 10**40}, {"nbf": SOON}, {"role": "backend"},
        ],
    )  # fmt: skip
    def test_wrong_claims_are_refused(self, claims: dict[str, Any]) -> None:
        assert refusal(token(**claims))[0] is CloseCode.BAD_TOKEN

    @pytest.mark.parametrize("missing", ["sub", "exp"])
    def test_sub_and_exp_are_required(self, missing: str) -> None:
        claims = {"sub": "u7", "exp": SOON}
        del claims[missing]
        code, reason = refusal(jwt.encode(claims, SECRET, "HS256"))
        assert code is CloseCode.BAD_TOKEN
        assert missing in reason

    @pytest.mark.parametrize("given", ["x", "a.b.c", "..", "\ud800", "🦀.🦀.🦀", "x" * 10_000, "."])
    def test_what_is_no_token_is_refused(self, given: str) -> None:
        assert refusal(given)[0] is CloseCode.BAD_TOKEN

    @given(st.text(max_size=60))
    def test_any_text_is_refused_and_nothing_else(self, text: str) -> None:
        assert refusal(text)[0] is CloseCode.BAD_TOKEN

    def test_without_keys_no_token_is_good(self) -> None:
        code, reason = refusal(token(), secret="")
        assert code is CloseCode.BAD_TOKEN
        assert "auth.secret" in reason


class TestSecrets:
    def test_another_secret_is_refused(self) -> None:
        assert refusal(token(OTHER))[0] is CloseCode.BAD_TOKEN

    def test_while_one_is_changed_both_are_good(self) -> None:
        for secret in (SECRET, OTHER):
            assert verify(token(secret), secret_before=OTHER).uid == "u7"
        third = token("a third secret that nobody has told us of")
        assert refusal(third, secret_before=OTHER)[0] is CloseCode.BAD_TOKEN

    def test_why_it_is_refused_is_told_of_either(self) -> None:
        late = token(OTHER, exp=int(time.time()) - 60)
        assert refusal(late, secret_before=OTHER)[0] is CloseCode.TOKEN_EXPIRED

    def test_only_hs256_counts(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the short key for this algorithm is not the point
            other = token(algorithm="HS384")
        code, reason = refusal(other)
        assert (code, "HS256" in reason) == (CloseCode.BAD_TOKEN, True)
        assert refusal(jwt.encode({"sub": "u7", "exp": SOON}, "", "none"))[0] is code


class TestPublicKeys:
    @pytest.mark.parametrize("algorithm", SIGNERS)
    def test_of_a_pem_file_are_good(self, algorithm: str, tmp_path: Path) -> None:
        path = tmp_path / "keys.pem"
        path.write_bytes(b"".join(map(public_pem, SIGNERS.values())))
        auth = {"secret": "", "public_keys": str(path)}
        for kid in ("", "named"):
            assert verify(token(SIGNERS[algorithm], algorithm, kid), **auth).uid == "u7"

    def test_a_kid_chooses_one_of_a_set(self, tmp_path: Path) -> None:
        other = ec.generate_private_key(ec.SECP256R1())
        auth = {"secret": "", "public_keys": jwks(tmp_path / "keys", one=P256, two=other)}
        for key, kid in ((P256, "one"), (other, "two"), (P256, ""), (other, "")):
            assert verify(token(key, "ES256", kid), **auth).uid == "u7"
        assert "signature" in refusal(token(P256, "ES256", "two"), **auth)[1].lower()
        assert "(kid)" in refusal(token(P256, "ES256", "three"), **auth)[1]

    def test_go_beside_a_secret(self, tmp_path: Path) -> None:
        auth = {"public_keys": jwks(tmp_path / "keys", one=RSA)}
        assert verify(token(), **auth) == verify(token(RSA, "RS256", "one"), **auth)
        assert verify(token(kid="theirs"), **auth).uid == "u7"

    @pytest.mark.parametrize("algorithm", SIGNERS)
    def test_one_taken_for_a_secret_opens_nothing(self, algorithm: str, tmp_path: Path) -> None:
        """The attack: sign with HS256, and the text of a public key for its secret."""
        pem = public_pem(SIGNERS[algorithm])
        path = tmp_path / "keys.pem"
        path.write_bytes(pem)
        forged = forged_hs256(pem)
        for auth in ({"secret": ""}, {"secret": SECRET}, {"secret": pem.decode()}):
            code, _ = refusal(forged, public_keys=str(path), **auth)
            assert code is CloseCode.BAD_TOKEN

    @pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
    def test_a_key_is_good_for_its_own_algorithm_only(self, algorithm: str, tmp_path: Path) -> None:
        auth = {"secret": "", "public_keys": jwks(tmp_path / "keys", one=RSA)}
        code, reason = refusal(token(RSA, algorithm, "one"), **auth)
        assert (code, "RS256" in reason) == (CloseCode.BAD_TOKEN, True)
        assert refusal(token(P256, "ES256", "one"), **auth)[0] is code

    def test_are_read_again_when_the_file_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        tokens = Tokens(Auth(public_keys=jwks(path, old=RSA)))
        assert tokens.verify(token(RSA, "RS256", "old")).uid == "u7"
        jwks(tmp_path / "new", new=P256)
        os.rename(tmp_path / "new", path)
        assert tokens.verify(token(P256, "ES256", "new")).uid == "u7"
        with pytest.raises(Refused):
            tokens.verify(token(RSA, "RS256", "old"))

    @pytest.mark.parametrize("broken", ["", "{", None])
    def test_stay_good_while_the_file_is_not(
        self, broken: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "keys"
        tokens = Tokens(Auth(public_keys=jwks(path, one=RSA)))
        one = token(RSA, "RS256", "one")
        assert tokens.verify(one).uid == "u7"
        path.unlink() if broken is None else path.write_text(broken)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert tokens.verify(one).uid == "u7"
        assert caplog.text.count("auth.public_keys") == 1
        jwks(path, two=P256)
        assert tokens.verify(token(P256, "ES256", "two")).uid == "u7"


class TestForWhom:
    def test_an_audience_that_is_ours_is_let_in(self) -> None:
        for aud in ("chat", ["other", "chat"]):
            assert verify(token(aud=aud), audience="chat").uid == "u7"

    @pytest.mark.parametrize(
        ("audience", "claims", "said"),
        [
            ("chat", {"aud": "other"}, "is not 'chat'"),
            ("", {"aud": "authenticated"}, "auth.audience"),
            ("chat", {}, "aud"),
        ],
    )
    def test_any_other_is_refused_and_why(
        self, audience: str, claims: dict[str, str], said: str
    ) -> None:
        assert said in refusal(token(**claims), audience=audience)[1]

    def test_a_subject_that_is_a_number_is_refused_and_why(self) -> None:
        assert "subject" in refusal(token(sub=42))[1].lower()

    def test_an_issuer_counts_where_one_is_asked_for(self) -> None:
        login = "https://login.example"
        assert verify(token(iss=login)).uid == verify(token(iss=login), issuer=login).uid
        for other in ({"iss": "https://else.example"}, {}):
            assert "iss" in refusal(token(**other), issuer=login)[1]


class TestSigning:
    def test_the_first_secret_signs(self) -> None:
        auth = Auth(secret=SECRET, secret_before=OTHER, audience="chat", issuer="login")
        made = sign(CLAIMS, 60, auth)
        assert Tokens(auth).verify(made).rooms == (("live:1", "moderator"),)
        assert jwt.decode(made, SECRET, ["HS256"], audience="chat")["iss"] == "login"

    @pytest.mark.parametrize("algorithm", SIGNERS)
    def test_or_a_private_key_under_its_name(self, algorithm: str, tmp_path: Path) -> None:
        key = SIGNERS[algorithm]
        for path in ("", jwks(tmp_path / "keys", mine=key)):
            made = sign(CLAIMS, 60, Auth(public_keys=path), private_pem(key))
            assert jwt.get_unverified_header(made).get("kid") == ("mine" if path else None)
        assert Tokens(Auth(public_keys=path)).verify(made).uid == "u7"

    def test_what_cannot_sign_is_told(self, tmp_path: Path) -> None:
        others = Auth(public_keys=jwks(tmp_path / "keys", one=P256))
        for pem, auth, why in (
            (b"", Auth(), "auth.secret is not set"),
            (b"nonsense", Auth(), "cannot be read"),
            (public_pem(RSA), Auth(), "cannot be read"),
            (private_pem(ec.generate_private_key(ec.SECP384R1())), Auth(), "P-256"),
            (private_pem(RSA), others, "does not have"),
        ):
            with pytest.raises(CannotSign, match=why):
                sign(CLAIMS, 60, auth, pem)

    def test_claims_that_would_be_refused_are(self) -> None:
        with pytest.raises(Refused, match="the claim level"):
            sign({"sub": "u7", "level": -1}, 60, Auth(secret=SECRET))


def forged_hs256(secret: bytes) -> str:
    """What PyJWT itself would not sign."""
    import base64
    import hmac

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}')
    body = part(json.dumps({"sub": "u7", "exp": SOON, "role": "admin"}).encode())
    mac = hmac.digest(secret, head + b"." + body, "sha256")
    return b".".join((head, body, part(mac))).decode()


def test_the_keys_of_these_tests_are_of_three_kinds() -> None:
    kinds = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)
    assert all(map(isinstance, (RSA, P256, ED25519), kinds))


class TestForARoom:
    """Tokens that let a user into one room."""

    def test_a_good_one_tells_when_it_ends(self) -> None:
        tokens = Tokens(Auth(secret=SECRET))
        assert tokens.verify_for(token(channel="live:1"), "live:1", "u7") == SOON

    @pytest.mark.parametrize(
        ("given", "uid"),
        [
            (token(channel="live:2"), "u7"),
            (token(channel="live:1"), "u8"),
            (token(channel="live:1"), "guest:1"),
            (token(channel="live:1", sub=""), "u7"),
            (token(channel=["live:1"]), "u7"),
            (token(), "u7"),
            (token(OTHER, channel="live:1"), "u7"),
            ("", "u7"),
        ],
    )
    def test_any_other_lets_nobody_in(self, given: str, uid: str) -> None:
        with pytest.raises(Refused) as caught:
            Tokens(Auth(secret=SECRET)).verify_for(given, "live:1", uid)
        assert caught.value.code is CloseCode.BAD_TOKEN

    def test_it_says_not_who_comes(self) -> None:
        """One that was stolen opens no connection."""
        for channel in ("live:1", ""):
            with pytest.raises(Refused, match="one channel only") as caught:
                Tokens(Auth(secret=SECRET)).verify(token(channel=channel))
            assert caught.value.code is CloseCode.BAD_TOKEN

    def test_a_guests_names_nobody(self) -> None:
        tokens = Tokens(Auth(secret=SECRET))
        for sub in ("", "guest:1"):
            assert tokens.verify_for(token(channel="live:1", sub=sub), "live:1", "guest:1") == SOON

    def test_one_that_is_over_says_so(self) -> None:
        over = token(channel="live:1", exp=int(time.time()) - 60)
        with pytest.raises(Refused) as caught:
            Tokens(Auth(secret=SECRET)).verify_for(over, "live:1", "u7")
        assert caught.value.code is CloseCode.TOKEN_EXPIRED
