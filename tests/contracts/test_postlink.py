"""The post-linker refuses by name what Solana would misread, and what it writes loads and runs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from contracts.solana import build, deploy
from contracts.solana.postlink import EHDR, LARGEST, REL, SHDR, SYM, NotLinkable, link

SOL = 1_000_000_000
HEAD = """
typedef unsigned long long u64; typedef unsigned char u8;
extern u64 sol_log_(const u8 *text, u64 length);
"""
EMPTY = "u64 entrypoint(u8 *in) { return in[0]; }"
# Two strings behind a table of pointers, a call within the code and a call of the runtime.
TALKS = """
static const u8 FIRST[] = "alpha", SECOND[] = "omega";
static const u8 *const TEXTS[] = {FIRST, SECOND};
__attribute__((noinline)) static u64 say(u64 which) { return sol_log_(TEXTS[which & 1], 5); }
u64 entrypoint(u8 *in) { return say(in[0]) + say(in[0] + 1) + 7 * in[16]; }
"""
UNEVEN = """
static const u8 ODD[] = {1, 2, 3};
static const u64 WIDE[] = {1ULL << 40, 5};
u64 entrypoint(u8 *in) { return ODD[in[0] + 2] + (WIDE[in[0]] >> 40) + WIDE[in[0] + 1]; }
"""
Compiled = Callable[..., bytes]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    """The object that clang makes of a text, as it makes ours."""

    def from_text(text: str, *flags: str) -> bytes:
        source = tmp_path / "program.c"
        source.write_text(HEAD + text)
        return build.compile_object(source, *flags)

    return from_text


@pytest.fixture
def talks(compiled: Compiled) -> bytearray:
    return bytearray(compiled(TALKS))


REFUSED = {
    "a global that changes": (
        "static volatile u64 n = 7; u64 entrypoint(u8 *in) { return n += in[0]; }",
        r"writable or unsupported section \.data",
    ),
    "a global without a value": (
        "static volatile u64 n; u64 entrypoint(u8 *in) { return n += in[0]; }",
        r"writable or unsupported section \.bss",
    ),
    "no way in": ("u64 other(u8 *in) { return in[0]; }", "no function 'entrypoint'"),
    "no code": ("extern u64 entrypoint(u8 *in); const u8 ALONE = 1;", "section of code .* not 0"),
    "code in two sections": (
        '__attribute__((noinline, section("other"))) u64 far(u64 n) { return n * 3; }'
        "u64 entrypoint(u8 *in) { return far(in[0]); }",
        "one section of code is needed, not 2",
    ),
    "a syscall that is none": (
        "extern u64 sol_shaXYZ(u64 n); u64 entrypoint(u8 *in) { return sol_shaXYZ(in[0]); }",
        "'sol_shaXYZ' is called, defined nowhere and no syscall",
    ),
    "a table from elsewhere": (
        "extern const u8 TABLE[]; u64 entrypoint(u8 *in) { return TABLE[in[0]]; }",
        "'TABLE' is used as a pointer and defined nowhere",
    ),
    "a pointer in a table from elsewhere": (
        "extern const u8 FAR[]; static const u8 *const TABLE[] = {FAR, FAR + 9};"
        "u64 entrypoint(u8 *in) { return TABLE[in[0]][0]; }",
        "'FAR' is used as a pointer and defined nowhere",
    ),
    "a call through a pointer": (
        "u64 entrypoint(u8 *in) { return (*(u64 (**)(u64))in)(1); }",
        "call through a pointer",
    ),
    "a call by number, as other BPF machines have it": (
        "u64 entrypoint(u8 *in) { return ((u64 (*)(u64))5)(in[0]); }",
        "call by number",
    ),
    "more than an account holds": (
        "static const u8 BIG[11 << 20] = {1}; u64 entrypoint(u8 *in) { return BIG[in[0]]; }",
        f"bytes of program: an account holds at most {LARGEST}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_program_must_not_hold_is_refused_by_name(compiled: Compiled, case: str) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(NotLinkable, match=reason):
        link(compiled(text))


def test_arithmetic_that_solana_would_misread_is_refused(compiled: Compiled) -> None:
    text = "u64 entrypoint(u8 *in) { return *(unsigned *)in + *(unsigned *)(in + 4); }"
    assert link(compiled(text))
    with pytest.raises(NotLinkable, match="compile with -mcpu=v2"):
        link(compiled(text, "-mcpu=v3"))


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0x7E), (4, 1), (5, 2), (16, 3), (18, 62)],
    ids=["no ELF", "32 bits", "big-endian", "linked already", "another machine"],
)
def test_an_object_of_another_kind_is_refused(talks: bytearray, at: int, value: int) -> None:
    talks[at] = value
    with pytest.raises(NotLinkable, match="no relocatable 64-bit little-endian BPF object"):
        link(bytes(talks))


def test_an_object_cut_short_anywhere_is_refused(talks: bytearray) -> None:
    for length in range(len(talks)):
        with pytest.raises(NotLinkable, match=r"cut short|no relocatable"):
            link(bytes(talks[:length]))


def test_a_relocation_of_an_unknown_kind_is_refused(talks: bytearray) -> None:
    for name, words in ((".rel.text", "in the code"), (".rel.rodata", "in constants")):
        changed = bytearray(talks)
        at, _ = section(talks, name)
        (symbol,) = struct.unpack_from("<I", changed, at + 12)
        REL.pack_into(changed, at, REL.unpack_from(changed, at)[0], symbol << 32 | 99)
        with pytest.raises(NotLinkable, match=f"relocation 99 to .* {words}"):
            link(bytes(changed))


@pytest.mark.parametrize("offset", [1, 8, 1 << 20, 1 << 62])
def test_a_relocation_that_is_not_at_its_instruction_is_refused(
    talks: bytearray, offset: int
) -> None:
    at, _ = section(talks, ".rel.text")
    struct.pack_into("<Q", talks, at, offset)
    with pytest.raises(NotLinkable, match=r"is not at its instruction|damaged"):
        link(bytes(talks))


def test_a_pointer_outside_its_constants_is_refused(talks: bytearray) -> None:
    at, _ = section(talks, ".rel.rodata")
    _, size = section(talks, ".rodata")
    struct.pack_into("<Q", talks, at, size - 7)
    with pytest.raises(NotLinkable, match="lies outside its constants"):
        link(bytes(talks))


@pytest.mark.parametrize("value", [4, 1 << 20])
def test_a_way_in_between_instructions_is_refused(talks: bytearray, value: int) -> None:
    at, size = section(talks, ".symtab")
    texts, _ = section(talks, ".strtab")
    for symbol in range(at, at + size, SYM.size):
        (name,) = struct.unpack_from("<I", talks, symbol)
        if talks[texts + name :].startswith(b"entrypoint\0"):
            struct.pack_into("<Q", talks, symbol + 8, value)
    with pytest.raises(NotLinkable, match="'entrypoint' does not begin at an instruction"):
        link(bytes(talks))


def test_code_that_ends_within_an_instruction_is_refused(talks: bytearray) -> None:
    header = section_header(talks, ".text")
    size = struct.unpack_from("<Q", talks, header + 32)[0]
    struct.pack_into("<Q", talks, header + 32, size - 1)
    with pytest.raises(NotLinkable, match="does not end with an instruction"):
        link(bytes(talks))


def test_no_damaged_byte_brings_anything_but_a_program_or_a_refusal(talks: bytearray) -> None:
    refused = 0
    for at, was in enumerate(bytes(talks)):
        for value in (0x00, 0xFF, was ^ 0x80, was ^ 0x01):
            talks[at] = value
            try:
                link(bytes(talks))
            except NotLinkable:
                refused += 1
        talks[at] = was
    assert refused > len(talks) // 2


@pytest.mark.parametrize(
    ("text", "lines", "result"),
    [(EMPTY, [], 0), (TALKS, ["alpha", "omega"], 0), (UNEVEN, [], 3 + 1 + 5)],
    ids=["no constants", "texts behind pointers", "constants of many widths"],
)
def test_what_it_writes_loads_and_runs(
    compiled: Compiled, text: str, lines: list[str], result: int
) -> None:
    # The runtime hands over the number of accounts first: none, so in[0] is 0.
    done = run(link(compiled(text)))
    said = [line.removeprefix("Program log: ") for line in done.logs() if "Program log: " in line]
    assert said == lines
    assert (f"custom program error: {result:#x}" in "\n".join(done.logs())) == (result != 0)


def test_the_loader_that_these_tests_ask_refuses_what_is_broken(talks: bytearray) -> None:
    program = link(bytes(talks))
    assert b"sol_log_\0" in program
    with pytest.raises(LoaderRefused, match="sol_lug_"):
        run(program.replace(b"sol_log_\0", b"sol_lug_\0"))


class LoaderRefused(Exception):
    """A deployment did not go through; says what the loader logged."""


def run(program: bytes) -> TransactionMetadata:
    """Deploy by loader v3, which checks every byte, and call the program without accounts."""
    svm, payer, key = LiteSVM(), Keypair(), Keypair()
    svm.airdrop(payer.pubkey(), 1_000 * SOL)

    def send(
        instructions: list[Instruction], *signers: Keypair
    ) -> TransactionMetadata | FailedTransactionMetadata:
        svm.expire_blockhash()
        message = MessageV0.try_compile(payer.pubkey(), instructions, [], svm.latest_blockhash())
        return svm.send_transaction(VersionedTransaction(message, [payer, *signers]))

    for instructions, signers in deploy.deployment(payer.pubkey(), key, Keypair(), program):
        done = send(instructions, *signers)
        if isinstance(done, FailedTransactionMetadata):
            raise LoaderRefused("\n".join(done.meta().logs()))
    svm.warp_to_slot(svm.get_clock().slot + 2)
    called = send([Instruction(key.pubkey(), b"", [])])
    return called.meta() if isinstance(called, FailedTransactionMetadata) else called


def section_header(raw: bytes | bytearray, name: str) -> int:
    """Where an object keeps the header of a section."""
    head = EHDR.unpack_from(raw)
    start, count, names = head[6], head[12], head[13]
    texts = SHDR.unpack_from(raw, start + names * SHDR.size)[4]
    for header in range(start, start + count * SHDR.size, SHDR.size):
        label = texts + struct.unpack_from("<I", raw, header)[0]
        if raw[label:].startswith(name.encode() + b"\0"):
            return int(header)
    raise KeyError(name)


def section(raw: bytes | bytearray, name: str) -> tuple[int, int]:
    """Where a section lies in an object, and its length."""
    found = SHDR.unpack_from(raw, section_header(raw, name))
    return found[4], found[5]
