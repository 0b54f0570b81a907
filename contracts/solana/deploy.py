"""Deploying by loader v3, as the Solana tools do: a buffer, its bytes, then the program."""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.sysvar import CLOCK, RENT

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
BUFFER_HEAD, PROGRAM_SIZE, PROGRAM_DATA_HEAD = 37, 36, 45
CHUNK = 900  # leaves room for signatures and keys in a packet of 1232 bytes


def program_data(program: Pubkey) -> Pubkey:
    """Where the loader keeps the code and the upgrade authority of a program."""
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def deployment(
    payer: Pubkey, program: Keypair, buffer: Keypair, elf: bytes, *, rent_per_byte: int = 6960
) -> list[tuple[list[Instruction], list[Keypair]]]:
    """The transactions in order, each with the signers it needs beside the payer.

    The payer becomes the upgrade authority. `rent_per_byte` must not be below the chain's own.
    """

    def rent(size: int) -> int:
        return (128 + size) * rent_per_byte

    size = BUFFER_HEAD + len(elf)
    make_buffer = create_account(
        CreateAccountParams(
            from_pubkey=payer,
            to_pubkey=buffer.pubkey(),
            lamports=rent(size),
            space=size,
            owner=LOADER,
        )
    )
    initialize = Instruction(
        LOADER,
        struct.pack("<I", 0),
        [AccountMeta(buffer.pubkey(), False, True), AccountMeta(payer, False, False)],
    )
    steps: list[tuple[list[Instruction], list[Keypair]]] = [([make_buffer, initialize], [buffer])]
    for start in range(0, len(elf), CHUNK):
        steps.append(([_write(payer, buffer.pubkey(), start, elf[start : start + CHUNK])], []))
    make_program = create_account(
        CreateAccountParams(
            from_pubkey=payer,
            to_pubkey=program.pubkey(),
            lamports=rent(PROGRAM_SIZE),
            space=PROGRAM_SIZE,
            owner=LOADER,
        )
    )
    deploy = _deploy(payer, program.pubkey(), buffer.pubkey(), len(elf))
    return [*steps, ([make_program, deploy], [program])]


def _write(authority: Pubkey, buffer: Pubkey, offset: int, data: bytes) -> Instruction:
    return Instruction(
        LOADER,
        struct.pack("<IIQ", 1, offset, len(data)) + data,
        [AccountMeta(buffer, False, True), AccountMeta(authority, True, False)],
    )


def _deploy(payer: Pubkey, program: Pubkey, buffer: Pubkey, size: int) -> Instruction:
    return Instruction(
        LOADER,
        struct.pack("<IQ", 2, size),
        [
            AccountMeta(payer, True, True),
            AccountMeta(program_data(program), False, True),
            AccountMeta(program, False, True),
            AccountMeta(buffer, False, True),
            AccountMeta(RENT, False, False),
            AccountMeta(CLOCK, False, False),
            AccountMeta(SYSTEM, False, False),
            AccountMeta(payer, True, False),
        ],
    )
