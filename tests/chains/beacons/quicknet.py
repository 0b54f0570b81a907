"""Draws that drand's quicknet really made, as they were published, and chains made for tests."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from chains.beacons.quicknet import DOMAIN, QUICKNET, Chain

# Round -> signature and randomness: docs.drand.love (42), noislabs/drand-verify (123), drand's own
# pages and clients (1, 43, 1000), ideal-lab5's pallets (1001 to 1003, without randomness there).
PUBLISHED = {
    1: (
        "b55e7cb2d5c613ee0b2e28d6750aabbb78c39dcc96bd9d38c2c2e12198df95571de8e8e402a0cc48871c7089a2b3af4b",
        "1466a6cd24e327188770752f6134001c64d6efcc590ccc26b721611ad96f165a",
    ),
    42: (
        "95a9f9f5b231b7714de1553105d8ffdf3dcda24cfdb1e689319bccf79a9c8ce430a91b811fbfaf763900bc998b5d686a",
        "8ada64bae5c6c0f5540a6a13af56e663240edfbd2c76ac6a8f27671eb7259ce3",
    ),
    43: (
        "a96a579010b3d2261959104b29b5b46685b3a6b6f6aae7304ef72d44fe7d44e667bcdd500935d7deb58a2b4d89419ea6",
        "c8f7c61c7024f8b45ffbf5be58b1f112a26be93c26f5461af9f8522233705dbb",
    ),
    123: (
        "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92",
        "fb8f7bc29bf24db51871ec8c79f3a1e4bd0557bc0dfcee9ed1d924e69d1c60dc",
    ),
    1000: (
        "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
        "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd",
    ),
    1001: (
        "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03f73896b25883abf2853d10337fb8fa41",
        "b0a591ad1b9002cfc372ac6e30abd3da8d3088d4caae026961743474fb94235f",
    ),
    1002: (
        "ab066f9c12dd6de1336fca0f925192fb0c72a771c3e4c82ede1fd362c1a770f9eb05843c6308ce2530b53a99c0281a6e",
        "339d3f0e702ed27d36966c6ee85a2bc762a24e178e7e5c835d9b5a7509cb920c",
    ),
    1003: (
        "b104c82771698f45fd8dcfead083d482694c31ab519bcef077f126f3736fe98c8392fd5d45d88aeb76b56ccfcb0296d7",
        "758f0c906d8c5296a032a66f0d96c6e0eeea4291e8fc9830bbfb19a2ba8610a9",
    ),
}

# drand/drand-client test/beacon-verification.test.ts: this scheme under the key of another chain.
WALKTHROUGH = Chain(
    beacon_id="walkthrough",
    public_key=bytes.fromhex(
        "81d320f220ee9c79e60e19dedc838c31e3ab919b15481e9feb52f643628c4f6a"
        "13fdc52129493875a818109d767272ca0541cbcdcea9335f2870d781b39b845b"
        "a8cbd44fdfe4967781cf72ca5917fc9398bcf97ca0548ed5a709016c4b1ff0f3"
    ),
    period=3,
    genesis=1_687_506_816,
    group_hash=bytes.fromhex("02d678e93908888871b70e3f015b396a8c082bc1493ae5479f8743cb5d972b54"),
)
WALKTHROUGH_38 = (
    "95c93585c513ebbcb4777ff15599b3140e5ec0295faa0e48"
    "3f3deadd88fa6d43f0d3703e3a4ce106e8fd6c6987f32126"
)

# drand/drand crypto/schemes_test.go: round, key and signature of the scheme bls-unchained-on-g1,
# which hashes to the same curve under another domain.
OLD_DOMAIN = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
OLD_SCHEME = (
    3,
    "876f6fa8073736e22f6ff4badaab35c637503718f7a452d178ce69c45d2d8129a54ad2f988ab10c9666f87ab603c59bf"
    "013409a5b500555da31720f8eec294d9809b8796f40d5372c71a44ca61226f1eb978310392f98074a608747f77e66c5a",
    "ac7c3ca14bc88bd014260f22dc016b4fe586f9313c3a549c83d195811a99a5d2d4999d4df6daec73ff51fafadd6d5bb5",
)

SECRET = Scalar(20_250_923)
OURS = replace(QUICKNET, public_key=(G2Point() * SECRET).to_compressed_bytes())


def signature(number: int) -> bytes:
    """Quicknet's own signature of a round."""
    return bytes.fromhex(PUBLISHED[number][0])


def signed(number: int, domain: bytes = DOMAIN) -> bytes:
    """A signature of the chain `OURS`, whose secret key everybody has."""
    message = sha256(number.to_bytes(8, "big")).digest()
    return (G1Point.hash_to_curve(message, domain) * SECRET).to_compressed_bytes()


def answer(number: int, **other: Any) -> dict[str, Any]:
    """What an honest endpoint says of a round, but for what is given otherwise."""
    written, randomness = PUBLISHED[number]
    return {"round": number, "randomness": randomness, "signature": written} | other


def closing(number: int, chain: Chain = QUICKNET) -> int:
    """The first moment of closing for which a round counts."""
    return chain.time(number - 1) - 2
