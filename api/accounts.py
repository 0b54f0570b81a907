"""Accounts as callers spell them: a bare address in any case, or CAIP-10 with its network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chains.errors import BadAddress
from chains.evm import address as evm
from chains.solana import address as solana

NETWORK = re.compile(r"eip155:[0-9]{1,32}|solana:[1-9A-HJ-NP-Za-km-z]{32}")


@dataclass(frozen=True, slots=True)
class Account:
    """An address as we write it; without a network it is meant on every one."""

    address: str
    network: str = ""


def parse(text: str) -> Account:
    """The account that a caller means. Raises `BadAddress`, which says what is wrong with it."""
    network, scoped, address = text.rpartition(":")
    if scoped and not NETWORK.fullmatch(network):
        raise BadAddress(f"{network[:64]!r} is no network as CAIP-2 writes it")
    hexadecimal = address[:2].lower() == "0x"
    if network.startswith("eip155:") or (not network and hexadecimal):
        return Account(evm.canonical("0x" + address[2:] if hexadecimal else address), network)
    return Account(solana.canonical(address), network)
