"""Contracts on both chains are siblings: the same verbs, events and refusals by the same names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chains.solana.interface import discriminator, snake
from contracts import build_evm
from contracts.solana import build

CASINO = (build_evm.ABI, build.CASINO.idl)
BOND = (build_evm.BOND_ABI, build.BOND.idl)
BOTH = pytest.mark.parametrize(("abi", "idl"), [CASINO, BOND], ids=["casino", "bond"])
# What one chain can refuse and the other cannot.
ALONE = {
    "evm": {"PaymentFailed", "BetNotOpen", "AlreadyReleased", "BadRecipient"},
    "solana": {
        *("NotAuthority", "WrongAccount", "MissingSignature", "BadInstruction", "Overflow"),
        *("BelowRent", "TooManyBatches", "BadRecipient"),
    },
}
# What Solana does by an instruction and the EVM by a constructor, or leaves to who cannot be paid.
VERBS = {"initialize", "claim_owed"}


def read(path: Any) -> Any:
    return json.loads(path.read_text())


def names(abi: list[dict[str, Any]], kind: str) -> dict[str, list[str]]:
    return {
        part["name"]: [snake(one["name"]) for one in part["inputs"]]
        for part in abi
        if part["type"] == kind
    }


@BOTH
def test_both_chains_say_the_same_events_with_the_same_fields(abi: Any, idl: Any) -> None:
    types = {one["name"]: one["type"]["fields"] for one in read(idl)["types"]}
    said = {
        event["name"]: [field["name"] for field in types[event["name"]]]
        for event in read(idl)["events"]
    }
    assert names(read(abi), "event") == said


@BOTH
def test_both_chains_refuse_by_the_same_names(abi: Any, idl: Any) -> None:
    evm = set(names(read(abi), "error"))
    solana = {error["name"] for error in read(idl)["errors"]}
    assert evm - solana <= ALONE["evm"]
    assert solana - evm <= ALONE["solana"]


@BOTH
def test_both_chains_have_the_same_verbs(abi: Any, idl: Any) -> None:
    writing = [
        part for part in read(abi) if part.get("stateMutability") in ("nonpayable", "payable")
    ]
    evm = {snake(part["name"]) for part in writing if part["type"] == "function"}
    solana = {verb["name"] for verb in read(idl)["instructions"]}
    assert evm ^ solana <= VERBS


@BOTH
def test_every_discriminator_is_the_one_that_anchor_would_make(abi: Any, idl: Any) -> None:
    interface = read(idl)
    for space, table in (("global", "instructions"), ("event", "events"), ("account", "accounts")):
        for one in interface[table]:
            assert bytes(one["discriminator"]) == discriminator(space, one["name"]), one["name"]
    assert [one["code"] for one in interface["errors"]] == [
        6_000 + place for place in range(len(interface["errors"]))
    ]
