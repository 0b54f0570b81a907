"""What the house signs is recovered to its address, and is the same each time."""

from __future__ import annotations

import pytest
from coincurve import PublicKey
from eth_account import Account

from chains.evm.address import keccak256
from chains.signers import NoSigner, signer

KEY = "0x" + "07" * 32


def test_a_signature_names_the_address_that_wallets_derive() -> None:
    sign, digest = signer(KEY), bytes(range(32))
    signature = sign(digest)
    assert len(signature) == 65
    compact = signature[:64] + bytes([signature[64] - 27])
    point = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    assert keccak256(point.format(compressed=False)[1:])[12:] == sign.address
    assert "0x" + sign.address.hex() == str(Account.from_key(KEY).address).lower()


def test_a_digest_is_signed_the_same_each_time_and_another_one_otherwise() -> None:
    first, again = signer(KEY)(bytes(32)), signer(KEY.removeprefix("0x"))(bytes(32))
    assert first == again
    assert first != signer(KEY)(b"\x01" * 32)


@pytest.mark.parametrize("key", ["", "0x", "00" * 32, "07" * 31, "no hex"])
def test_a_key_that_is_none_signs_nothing(key: str) -> None:
    with pytest.raises(NoSigner) as raised:
        signer(key)
    assert not key or key not in str(raised.value)


def test_a_signer_does_not_tell_its_secret() -> None:
    assert "07" * 4 not in repr(signer(KEY))
    assert KEY[2:] not in repr(signer(KEY))
