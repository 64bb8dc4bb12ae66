"""Files of public keys: PEM blocks or a JWK Set (RFC 7517), each key with its algorithm.

Rules. The algorithm follows from the key: RS256 for RSA, ES256 for P-256, EdDSA for Ed25519. What
else a JWK Set has, for encryption or of another curve, is passed over; a file in which nothing is
left is refused. So is one with a secret in it, which has no business where tokens are only checked.

Danger: cryptography takes long to import, so that happens only once there is a file to read.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from chat.config.files import BadFile, read_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
MOST_BYTES: Final = 262_144
MOST_KEYS: Final = 32
"""In one file. A token without a `kid` may be tried with each key of its algorithm."""
RSA_BITS: Final = 2048
"""At least so many, RFC 7518 section 3.3."""

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_TYPES: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


class BadKeys(Exception):
    """The file cannot be used; why, as the end of a sentence about it."""


class PublicKey(NamedTuple):
    """`kid` is "" for a key that has no name; `key` is cryptography's."""

    kid: str
    algorithm: str
    key: Any


def read_keys(path: str) -> tuple[PublicKey, ...]:
    """The keys in a file. Raises BadKeys."""
    try:
        data = read_file(Path(path), MOST_BYTES)  # read at every reload, and by every process
    except BadFile as error:
        raise BadKeys(str(error)) from None
    except (OSError, ValueError) as error:
        raise BadKeys(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_keys(data)


def parse_keys(data: bytes) -> tuple[PublicKey, ...]:
    """The keys in the bytes of a file. Raises BadKeys."""
    keys = _pem(data.decode("latin-1")) if b"-----BEGIN " in data else _jwks(data)
    if not keys:
        raise BadKeys(f"has no public key for {', '.join(ALGORITHMS)}")
    if len(keys) > MOST_KEYS:
        raise BadKeys(f"has more than {MOST_KEYS} keys")
    return tuple(keys)


def algorithm_of(key: "PublicKeyTypes") -> str | None:
    """What a public key signs with; None for a kind that is not taken. Raises BadKeys for an RSA
    key that is too short."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    match key:
        case rsa.RSAPublicKey():
            if key.key_size < RSA_BITS:
                raise BadKeys(f"has an RSA key of {key.key_size} bits; {RSA_BITS} are the least")
            return "RS256"
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return "ES256"
        case ed25519.Ed25519PublicKey():
            return "EdDSA"
    return None


def _pem(text: str) -> list[PublicKey]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    keys = []
    for block in _PEM.finditer(text):
        label, pem = block[1], block[0].encode("latin-1")
        if "PRIVATE" in label:
            raise BadKeys("has a private key; this takes the public one, which only checks")
        try:
            if label == "CERTIFICATE":
                key: Any = load_pem_x509_certificate(pem).public_key()
            elif label.endswith("PUBLIC KEY"):
                key = load_pem_public_key(pem)
            else:
                continue
        except Exception as error:  # cryptography raises what its parsers do
            raise BadKeys(f"has a {label} block that cannot be read: {error}") from None
        algorithm = algorithm_of(key)
        if algorithm is not None:
            keys.append(PublicKey("", algorithm, key))
    return keys


def _jwks(data: bytes) -> list[PublicKey]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadKeys(f"is neither PEM nor JSON: {error}") from None
    alone = isinstance(document, dict) and "kty" in document
    found = [document] if alone else document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadKeys('is no JWK Set: expected {"keys": [{…}, …]}')
    return [key for i, one in enumerate(found) if (key := _jwk(one, i)) is not None]


def _jwk(jwk: dict[str, Any], place: int) -> PublicKey | None:
    """One key of a set; None for one that is for something else. Raises BadKeys."""
    import jwt
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    if "d" in jwk or jwk.get("kty") == "oct":
        raise BadKeys(f"has a secret, in keys[{place}]; this takes public keys, which only check")
    due = _TYPES.get(str(jwk.get("kty")))
    if due is None or jwk.get("use", "sig") != "sig" or jwk.get("alg", due) != due:
        return None
    maker: Any = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[due]
    if due != "RS256" and jwk.get("crv") not in ("P-256", "Ed25519"):
        return None
    try:
        key = maker.from_jwk(jwk)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadKeys(f"has a key that cannot be read, keys[{place}]: {error!r}") from None
    algorithm = algorithm_of(key)
    kid = jwk.get("kid")
    if algorithm is None:
        return None
    return PublicKey(kid if isinstance(kid, str) else "", algorithm, key)
