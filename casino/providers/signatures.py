"""Signatures over the bytes of a body, exactly as they came; several keys may be valid at once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

WINDOW_S = 300  # between a message's time and ours
SECONDS = re.compile(r"[0-9]{1,12}")


def in_time(said: str, now: float) -> bool:
    """Whether a time, in seconds since 1970, is about now: neither long ago nor to come."""
    return SECONDS.fullmatch(said) is not None and abs(int(said) - now) <= WINDOW_S


def stamped(body: bytes, *said: str) -> bytes:
    """What is signed of a body that has a time, an id, or more beside it: a line for each."""
    return b"\n".join([*(one.encode() for one in said), body])


def hmac_sha256(body: bytes, key: str) -> str:
    """In lower-case hex."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def is_hmac(body: bytes, given: str, keys: Sequence[str]) -> bool:
    """Whether one of the secrets made it. All are tried, so that the time says nothing."""
    said = given.encode()
    right = [hmac.compare_digest(said, hmac_sha256(body, key).encode()) for key in keys]
    return any(right)


def is_rsa(body: bytes, given: str, keys: Sequence[str]) -> bool:
    """Whether the owner of one of the public keys (PEM) made it: RSA-SHA256 in base64."""
    try:
        said = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return False
    digest = SHA256.new(body)
    return any(_made(said, digest, key) for key in keys)


def _made(said: bytes, digest: SHA256.SHA256Hash, key: str) -> bool:
    try:
        pkcs1_15.new(_key(key)).verify(digest, said)
    except ValueError:
        return False
    return True


def _key(pem: str) -> RSA.RsaKey:
    found = _keys.get(pem)
    if found is None:
        found = _keys[pem] = RSA.import_key(pem)
    return found


_keys: dict[str, RSA.RsaKey] = {}
