"""Tokens: who made them, and what they say (JWT, RFC 7519).

    HS256                  auth.secret, or auth.secret_before while a secret is being changed
    RS256, ES256, EdDSA    the keys in auth.public_keys, which is read again when it changes

Rules. A key has one algorithm, and a token is checked with keys of the algorithm it names or not at
all: so neither `none`, nor a public key taken for a secret, opens anything. A token with a `kid` is
checked with the key of that name, and with those that have none.

Danger: what is wrong is told to who shows the token, who may be anybody. It is about the token; it
says nothing of our keys.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt

from chat.config.keyfiles import BadKeys, PublicKey, algorithm_of, read_keys
from chat.config.sections import Auth
from chat.policy.claims import LEEWAY_S, identity_of
from chat.policy.identity import Identity, Refused
from chat.wire.schema import GUEST
from shard.closecodes import CloseCode

log = logging.getLogger(__name__)

SHARED: Final = "HS256"
NEEDED: Final = ("sub", "exp")
FOR_A_ROOM: Final = ("channel", "exp")
"""What a token needs that lets a user into one room; a guest has no `sub` that is known before."""


class KeyFile:
    """The keys of a file as it is now; as it last was, while it cannot be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = ()
        self._keys: tuple[PublicKey, ...] = ()

    def keys(self) -> tuple[PublicKey, ...]:
        """One look at the file's date, a microsecond beside the check of a signature."""
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._keys = read_keys(self.path)
            except BadKeys as bad:
                log.warning("auth.public_keys %s; what it held before stays good", bad)
        return self._keys

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self.path)
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class Tokens:
    """What a node's configuration says of tokens."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._file: KeyFile | None = None
        self.apply()

    def apply(self) -> None:
        """What the configuration says has changed: tokens are checked as it says now."""
        secrets = filter(None, (self._auth.secret, self._auth.secret_before))
        self._secrets = tuple(PublicKey("", SHARED, secret) for secret in secrets)
        path = self._auth.public_keys
        if self._file is None or self._file.path != path:
            self._file = KeyFile(path) if path else None

    def verify(self, token: str) -> Identity:
        """Who a token vouches for. Raises Refused, whose reason is for whoever made the token."""
        claims = self._checked(token, NEEDED)
        if "channel" in claims:
            raise Refused(CloseCode.BAD_TOKEN, "the token is for one channel only")
        return identity_of(claims)

    def verify_for(self, token: str, room: str, uid: str) -> int:
        """When a token ends, in seconds since 1970, that lets a user into a room; a guest's has no
        `sub`, or an empty one. Raises Refused."""
        claims = self._checked(token, FOR_A_ROOM)
        sub = claims.get("sub") or ""
        if claims["channel"] != room:
            raise Refused(CloseCode.BAD_TOKEN, "the token is for another channel")
        if sub != uid and (sub or not uid.startswith(f"{GUEST}:")):
            raise Refused(CloseCode.BAD_TOKEN, "the token is another user's")
        return int(claims["exp"])

    def _checked(self, token: str, needed: Sequence[str]) -> dict[str, Any]:
        """The claims of a genuine token. Raises Refused."""
        try:
            return self._claims(token, needed)
        except jwt.ExpiredSignatureError:
            raise Refused(CloseCode.TOKEN_EXPIRED) from None
        except jwt.InvalidAudienceError:
            wanted = self._auth.audience
            wrong = f"is not {wanted!r}" if wanted else "needs auth.audience to be set"
            raise Refused(CloseCode.BAD_TOKEN, f"the token's audience (aud) {wrong}") from None
        except jwt.InvalidAlgorithmError:
            raise Refused(CloseCode.BAD_TOKEN, _not_taken(SHARED)) from None
        except jwt.InvalidIssuerError:
            wrong = f"the token's issuer (iss) is not {self._auth.issuer!r}"
            raise Refused(CloseCode.BAD_TOKEN, wrong) from None
        except (jwt.PyJWTError, ValueError, OverflowError) as error:
            raise Refused(CloseCode.BAD_TOKEN, f"the token is not valid: {error}") from None

    def _claims(self, token: str, needed: Sequence[str]) -> dict[str, Any]:
        """Raises Refused, and what PyJWT does."""
        candidates = self._secrets
        if not candidates or self._file:  # else there is nothing to choose by, and PyJWT reads it
            candidates = self._candidates(jwt.get_unverified_header(token))
        for key in candidates[:-1]:
            try:
                return self._decode(token, key, needed)
            except jwt.InvalidSignatureError:
                continue
        return self._decode(token, candidates[-1], needed)

    def _decode(self, token: str, key: PublicKey, needed: Sequence[str]) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm],
            audience=self._auth.audience or None,
            issuer=self._auth.issuer or None,
            leeway=LEEWAY_S,
            options={"require": list(needed)},
        )
        return claims

    def _candidates(self, header: Mapping[str, Any]) -> tuple[PublicKey, ...]:
        """The keys a token may be signed with, one at least. Raises Refused."""
        keys = self._secrets + (self._file.keys() if self._file else ())
        if not keys:
            raise Refused(
                CloseCode.BAD_TOKEN,
                "this server takes no tokens: neither auth.secret nor auth.public_keys is set",
            )
        kid = header.get("kid")
        alike = [key for key in keys if key.algorithm == header.get("alg")]
        found = tuple(key for key in alike if not kid or key.kid in ("", kid))
        if found:
            return found
        if alike:
            raise Refused(CloseCode.BAD_TOKEN, "the token's key (kid) is none of this server's")
        taken = ", ".join(dict.fromkeys(key.algorithm for key in keys))
        raise Refused(CloseCode.BAD_TOKEN, _not_taken(taken))


def _not_taken(taken: str) -> str:
    return f"the token's algorithm (alg) is not one this server takes: {taken}"


class CannotSign(Exception):
    """There is no key to sign with, or it is no good; what to do."""


def sign(claims: Mapping[str, Any], ttl_s: int, auth: Auth, pem: bytes = b"") -> str:
    """A token signed with `auth.secret`, or with the private key in `pem`, good for `ttl_s`.

    Raises CannotSign, and Refused for claims that no server would take.
    """
    audience = {"aud": auth.audience} if auth.audience else {}
    issuer = {"iss": auth.issuer} if auth.issuer else {}
    made = {**claims, "exp": int(time.time()) + ttl_s, **audience, **issuer}
    identity_of(made)
    if pem:
        return _sign_with(made, auth, pem)
    if not auth.secret:
        raise CannotSign(
            "auth.secret is not set, in the configuration or as DANMAKU_AUTH_SECRET; or give the "
            "private key of one in auth.public_keys"
        )
    return jwt.encode(made, auth.secret, SHARED)


def _sign_with(claims: dict[str, Any], auth: Auth, pem: bytes) -> str:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private: Any = load_pem_private_key(pem, password=None)
        public = private.public_key()
        algorithm = algorithm_of(public)
    except Exception as error:  # cryptography raises what its parsers do
        raise CannotSign(f"the key cannot be read: {error}") from None
    if algorithm is None:
        raise CannotSign("the key must be RSA, P-256 or Ed25519")
    known = KeyFile(auth.public_keys).keys() if auth.public_keys else ()
    kids = [one.kid for one in known if one.key == public]
    if known and not kids:
        raise CannotSign("auth.public_keys does not have the public part of this key")
    headers = {"kid": kids[0]} if kids and kids[0] else None
    return jwt.encode(claims, private, algorithm, headers)
