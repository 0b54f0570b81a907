"""Post-linker: turns clang's relocatable BPF object into a program that Solana loads (SBPF v0).

The layout follows the loader's own parser (anza-xyz/sbpf, elf.rs): an ELF64 shared object whose
section addresses equal their file offsets, whose syscalls are dynamic relocations by name, and
whose pointers are already absolute because the program always lies at 0x1_0000_0000.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

BASE = 0x1_0000_0000
EM_BPF, ET_REL, ET_DYN = 247, 1, 3
SHT_PROGBITS, SHT_SYMTAB, SHT_NOBITS, SHT_REL = 1, 2, 8, 9
SHF_WRITE, SHF_ALLOC, SHF_EXEC = 1, 2, 4
R_POINTER_IN_CODE, R_POINTER_IN_DATA, R_CALL = 1, 2, 10
LDDW, CALL, CALLX = 0x18, 0x85, 0x8D
ALU32, JMP32 = 0x04, 0x06  # instruction classes whose meaning differs on Solana, or is missing
LARGEST = 10 * 1024 * 1024 - 45  # an account's 10 MiB without the loader's own head

# What the runtime offers by name; another name would only be found out when it is deployed.
OFFERED = """
abort sol_alt_bn128_compression sol_alt_bn128_group_op sol_blake3 sol_create_program_address
sol_curve_group_op sol_curve_multiscalar_mul sol_curve_validate_point sol_get_clock_sysvar
sol_get_epoch_rewards_sysvar sol_get_epoch_schedule_sysvar sol_get_epoch_stake
sol_get_last_restart_slot sol_get_processed_sibling_instruction sol_get_rent_sysvar
sol_get_return_data sol_get_stack_height sol_get_sysvar sol_invoke_signed_c
sol_invoke_signed_rust sol_keccak256 sol_log_ sol_log_64_ sol_log_compute_units_ sol_log_data
sol_log_pubkey sol_memcmp_ sol_memcpy_ sol_memmove_ sol_memset_ sol_panic_ sol_poseidon
sol_remaining_compute_units sol_secp256k1_recover sol_set_return_data sol_sha256
sol_try_find_program_address
"""
SYSCALLS = frozenset(OFFERED.split())

EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
SHDR = struct.Struct("<IIQQQQIIQQ")
PHDR = struct.Struct("<IIQQQQQQ")
SYM = struct.Struct("<IBBHQQ")
REL = struct.Struct("<QQ")
DYN = struct.Struct("<QQ")


class NotLinkable(Exception):
    """The object holds something that this chain's loader would refuse or misread."""


class Section(NamedTuple):
    name: str
    kind: int
    flags: int
    data: bytes
    link: int
    info: int
    align: int


class Symbol(NamedTuple):
    name: str
    value: int
    section: int


class Relocation(NamedTuple):
    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class Object:
    """A relocatable object as read: sections by number, relocations by the section they change."""

    sections: list[Section]
    symbols: list[Symbol]
    relocations: dict[int, list[Relocation]]


def link(raw: bytes, entry: str = "entrypoint") -> bytes:
    """The loadable program. Raises `NotLinkable` with what stands in the way."""
    try:
        return _link(_read(raw), entry)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise NotLinkable(f"the object is cut short or damaged: {error}") from error


def _read(raw: bytes) -> Object:
    head = EHDR.unpack_from(raw)
    if head[0][:6] != b"\x7fELF\x02\x01" or head[1] != ET_REL or head[2] != EM_BPF:
        raise NotLinkable("this is no relocatable 64-bit little-endian BPF object")
    start, count, names_at = head[6], head[12], head[13]
    headers = [SHDR.unpack_from(raw, start + i * SHDR.size) for i in range(count)]
    names = _bytes(raw, headers[names_at])
    sections = [
        Section(_name(names, h[0]), h[1], h[2], _bytes(raw, h), h[6], h[7], max(h[8], 1))
        for h in headers
    ]
    symbols: list[Symbol] = []
    for section in sections:
        if section.kind == SHT_SYMTAB:
            texts = sections[section.link].data
            for name, _, _, place, value, _ in SYM.iter_unpack(section.data):
                symbols.append(Symbol(_name(texts, name), value, place))
    relocations = {
        section.info: [
            Relocation(offset, info & 0xFFFFFFFF, symbols[info >> 32])
            for offset, info in REL.iter_unpack(section.data)
        ]
        for section in sections
        if section.kind == SHT_REL
    }
    return Object(sections, symbols, relocations)


def _bytes(raw: bytes, header: tuple[int, ...]) -> bytes:
    kind, offset, size = header[1], header[4], header[5]
    if kind == SHT_NOBITS:
        return b"\0" if size else b""  # it is refused whatever its length
    if offset + size > len(raw):
        raise NotLinkable("the object is cut short or damaged: a section ends behind the file")
    return raw[offset : offset + size]


def _name(texts: bytes, start: int) -> str:
    return texts[start : texts.index(b"\0", start)].decode() if texts else ""


def _link(found: Object, entry: str) -> bytes:
    text_at, text = _only_code(found)
    data_sections = _constants(found)
    entry_at = _entry(found, text_at, entry)
    places = {text_at: 64 + 3 * PHDR.size}
    end = places[text_at] + len(text)
    for number, section in data_sections:
        end = _aligned(end, max(section.align, 8))
        places[number] = end
        end += len(section.data)
    if end > LARGEST:
        raise NotLinkable(f"{end} bytes of program: an account holds at most {LARGEST}")
    rodata_at = places[data_sections[0][0]] if data_sections else end
    code = bytearray(text)
    calls = _resolve_code(found, text_at, code, places)
    _check_instructions(code, {offset for offset, _, _ in found.relocations.get(text_at, [])})
    rodata = bytearray(end - rodata_at)
    for number, section in data_sections:
        at = places[number] - rodata_at
        rodata[at : at + len(section.data)] = section.data
        _resolve_data(found, number, rodata, at, places)
    return _write(bytes(code), bytes(rodata), rodata_at, entry_at, calls)


def _only_code(found: Object) -> tuple[int, bytes]:
    codes = [(n, s.data) for n, s in enumerate(found.sections) if s.flags & SHF_EXEC and s.data]
    if len(codes) != 1:
        raise NotLinkable(f"one section of code is needed, not {len(codes)}")
    if len(codes[0][1]) % 8:
        raise NotLinkable("the code does not end with an instruction: the object is damaged")
    return codes[0]


def _entry(found: Object, text_at: int, name: str) -> int:
    size = len(found.sections[text_at].data)
    for symbol in found.symbols:
        if symbol.name == name and symbol.section == text_at:
            if symbol.value % 8 or symbol.value >= size:
                raise NotLinkable(f"{name!r} does not begin at an instruction")
            return symbol.value
    raise NotLinkable(f"the object defines no function {name!r}")


def _constants(found: Object) -> list[tuple[int, Section]]:
    kept = []
    for number, section in enumerate(found.sections):
        if not section.flags & SHF_ALLOC or section.flags & SHF_EXEC or not section.data:
            continue
        if section.flags & SHF_WRITE or section.kind != SHT_PROGBITS:
            raise NotLinkable(
                f"writable or unsupported section {section.name}: programs keep no state"
            )
        kept.append((number, section))
    return kept


def _check_instructions(code: bytes | bytearray, resolved: set[int]) -> None:
    at = 0
    while at < len(code):
        opcode = code[at]
        kind = opcode & 7
        swaps_bytes = opcode & 0xF7 == 0xD4
        if (kind == ALU32 and not swaps_bytes) or kind == JMP32:
            raise NotLinkable(f"32-bit instruction {opcode:#x} at {at:#x}: compile with -mcpu=v2")
        if opcode == CALLX:
            raise NotLinkable(f"call through a pointer at {at:#x}: not supported")
        if opcode == CALL and code[at + 1] >> 4 == 0 and at not in resolved:
            raise NotLinkable(f"call by number at {at:#x}: the loader would jump there instead")
        at += 16 if opcode == LDDW else 8


def _resolve_code(
    found: Object, text_at: int, code: bytearray, places: dict[int, int]
) -> list[tuple[int, str]]:
    calls = []
    for offset, kind, symbol in found.relocations.get(text_at, []):
        if kind not in (R_POINTER_IN_CODE, R_CALL):
            raise NotLinkable(f"relocation {kind} to {symbol.name!r} at {offset:#x} in the code")
        if offset % 8 or code[offset] != (LDDW if kind == R_POINTER_IN_CODE else CALL):
            raise NotLinkable(f"relocation {kind} at {offset:#x} is not at its instruction")
        if kind == R_POINTER_IN_CODE:
            _point(code, offset, symbol, places)
        elif symbol.section == 0:
            if symbol.name not in SYSCALLS:
                raise NotLinkable(f"{symbol.name!r} is called, defined nowhere and no syscall")
            struct.pack_into("<i", code, offset + 4, -1)
            calls.append((places[text_at] + offset, symbol.name))
        elif symbol.section == text_at:
            _call(code, offset, symbol)
        else:
            raise NotLinkable(f"{symbol.name!r} is called at {offset:#x} and is no code")
    return calls


def _point(code: bytearray, offset: int, symbol: Symbol, places: dict[int, int]) -> None:
    low, high = (struct.unpack_from("<I", code, offset + at)[0] for at in (4, 12))
    target = _address(symbol, places) + (low | high << 32)
    struct.pack_into("<I", code, offset + 4, target & 0xFFFFFFFF)
    struct.pack_into("<I", code, offset + 12, target >> 32)


def _call(code: bytearray, offset: int, symbol: Symbol) -> None:
    addend = struct.unpack_from("<i", code, offset + 4)[0]
    target = symbol.value // 8 + (addend + 1 if not symbol.name else 0)
    if not 0 <= target < len(code) // 8:
        raise NotLinkable(f"a call at {offset:#x} leads out of the code")
    struct.pack_into("<i", code, offset + 4, target - offset // 8 - 1)


def _resolve_data(
    found: Object, number: int, rodata: bytearray, at: int, places: dict[int, int]
) -> None:
    for offset, kind, symbol in found.relocations.get(number, []):
        if kind != R_POINTER_IN_DATA:
            raise NotLinkable(f"relocation {kind} to {symbol.name!r} at {offset:#x} in constants")
        if offset + 8 > len(found.sections[number].data):
            raise NotLinkable(f"a pointer at {offset:#x} lies outside its constants")
        addend = struct.unpack_from("<Q", rodata, at + offset)[0]
        struct.pack_into("<Q", rodata, at + offset, _address(symbol, places) + addend)


def _address(symbol: Symbol, places: dict[int, int]) -> int:
    if symbol.section not in places:
        raise NotLinkable(f"{symbol.name!r} is used as a pointer and defined nowhere")
    return BASE + places[symbol.section] + symbol.value


def _aligned(at: int, align: int) -> int:
    return (at + align - 1) // align * align


def _write(
    code: bytes, rodata: bytes, rodata_at: int, entry_at: int, calls: list[tuple[int, str]]
) -> bytes:
    code_at = 64 + 3 * PHDR.size
    names = sorted({name for _, name in calls})
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    symbols = SYM.pack(0, 0, 0, 0, 0, 0)
    for name in names:
        symbols += SYM.pack(strings.index(b"\0" + name.encode() + b"\0") + 1, 0x10, 0, 0, 0, 0)
    relocations = b"".join(
        REL.pack(offset, (names.index(name) + 1) << 32 | R_CALL) for offset, name in calls
    )
    dynamic_at = _aligned(rodata_at + len(rodata), 8)
    symbols_at = dynamic_at + 9 * DYN.size
    strings_at = symbols_at + len(symbols)
    relocations_at = _aligned(strings_at + len(strings), 8)
    facts = (
        (0x1E, 4),  # DT_FLAGS: DF_TEXTREL
        (0x11, relocations_at if relocations else 0),  # DT_REL; the loader reads no empty table
        (0x12, len(relocations)),  # DT_RELSZ
        (0x13, REL.size),  # DT_RELENT
        (0x06, symbols_at),  # DT_SYMTAB
        (0x0B, SYM.size),  # DT_SYMENT
        (0x05, strings_at),  # DT_STRTAB
        (0x0A, len(strings)),  # DT_STRSZ
        (0, 0),
    )
    dynamic = b"".join(DYN.pack(tag, value) for tag, value in facts)
    labels = b"\0.text\0.rodata\0.dynamic\0.dynsym\0.dynstr\0.rel.dyn\0.shstrtab\0"
    labels_at = relocations_at + len(relocations)
    headers_at = _aligned(labels_at + len(labels), 8)

    def header(name: str, kind: int, flags: int, at: int, size: int, *more: int) -> bytes:
        link, info, align, entry = (*more, 0, 0, 8, 0)[:4] if more else (0, 0, 8, 0)
        label = labels.index(b"\0" + name.encode() + b"\0") + 1
        address = at if flags & SHF_ALLOC else 0
        return SHDR.pack(label, kind, flags, address, at, size, link, info, align, entry)

    sections = [bytes(SHDR.size), header(".text", 1, 6, code_at, len(code))]
    if rodata:
        sections.append(header(".rodata", 1, 2, rodata_at, len(rodata)))
    first = len(sections)
    sections += [
        header(".dynamic", 6, 3, dynamic_at, len(dynamic), first + 2, 0, 8, DYN.size),
        header(".dynsym", 11, 2, symbols_at, len(symbols), first + 2, 1, 8, SYM.size),
        header(".dynstr", 3, 2, strings_at, len(strings), 0, 0, 1, 0),
        header(".rel.dyn", 9, 2, relocations_at, len(relocations), first + 1, 0, 8, REL.size),
        header(".shstrtab", 3, 0, labels_at, len(labels), 0, 0, 1, 0),
    ]
    image = rodata_at + len(rodata) - code_at
    tail = labels_at - dynamic_at
    out = bytearray(headers_at)
    EHDR.pack_into(
        *(out, 0, b"\x7fELF\x02\x01\x01" + bytes(9), ET_DYN, EM_BPF, 1, code_at + entry_at),
        *(64, headers_at, 0, 64, PHDR.size, 3, SHDR.size, len(sections), len(sections) - 1),
    )
    PHDR.pack_into(out, 64, 1, 5, code_at, code_at, code_at, image, image, 0x1000)
    PHDR.pack_into(out, 120, 1, 6, dynamic_at, dynamic_at, dynamic_at, tail, tail, 0x1000)
    PHDR.pack_into(
        *(out, 176, 2, 6, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8)
    )
    for at, part in (
        (code_at, code),
        (rodata_at, rodata),
        (dynamic_at, dynamic),
        (symbols_at, symbols),
        (strings_at, strings),
        (relocations_at, relocations),
        (labels_at, labels),
    ):
        out[at : at + len(part)] = part
    return bytes(out) + b"".join(sections)
