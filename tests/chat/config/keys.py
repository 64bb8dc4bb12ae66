"""Keys to sign with, one of each kind, and their public parts as files have them."""

import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RSA: Final = rsa.generate_private_key(65_537, 2_048)
P256: Final = ec.generate_private_key(ec.SECP256R1())
ED25519: Final = ed25519.Ed25519PrivateKey.generate()


def private_pem(key: Any) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made


def public_pem(key: Any) -> bytes:
    made: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def public_jwk(key: Any, **fields: Any) -> dict[str, Any]:
    public = key.public_key()
    match public:
        case rsa.RSAPublicKey():
            made = RSAAlgorithm.to_jwk(public)
        case ec.EllipticCurvePublicKey():
            made = ECAlgorithm.to_jwk(public)
        case _:
            made = OKPAlgorithm.to_jwk(public)
    return json.loads(made) | fields  # type: ignore[no-any-return]
