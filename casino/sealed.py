"""Seeds at rest: under AES-GCM with the key of the environment, opened one by one."""

from __future__ import annotations

import secrets

from Crypto.Cipher import AES

NONCE, MAC = 12, 16


class Sealer:
    """AES-GCM, bound to the place of each seed: a sealed seed opens nowhere else."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, place: bytes, seed: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=nonce, mac_len=MAC)
        cipher.update(place)
        body, mac = cipher.encrypt_and_digest(seed)
        return nonce + mac + body

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """The seed. Raises `ValueError` under another key, or from another place."""
        cipher = AES.new(self._key, AES.MODE_GCM, nonce=sealed[:NONCE], mac_len=MAC)
        cipher.update(place)
        return cipher.decrypt_and_verify(sealed[NONCE + MAC :], sealed[NONCE : NONCE + MAC])
