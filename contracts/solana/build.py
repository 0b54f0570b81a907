"""Builds the Solana programs: names from the IDL, an object from clang, a file that loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.solana.postlink import link

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Built:
    """A program by its files: what declares it, what it is written in, what is made of both."""

    idl: Path
    source: Path
    header: Path
    program: Path


def built(name: str, header: str) -> Built:
    idl, source = HERE.parent / "idl" / f"{name}.json", HERE / "src" / f"{name}.c"
    return Built(idl, source, HERE / "src" / header, HERE / "build" / f"{name}.so")


CASINO = built("casino", "discriminators.h")
BOND = built("bond", "bond_discriminators.h")
IDL, SOURCE, HEADER, PROGRAM = CASINO.idl, CASINO.source, CASINO.header, CASINO.program

# -mcpu=v2: the runtime sign-extends 32-bit arithmetic where clang's later instruction sets do not.
CLANG = [
    *("-target", "bpfel-freestanding", "-mcpu=v2", "-O2", "-std=c11", "-ffreestanding"),
    *(
        "-fno-builtin",
        "-fno-stack-protector",
        "-fno-sanitize=all",
        "-fno-ident",
        "-fno-asynchronous-unwind-tables",
    ),
    *("-mllvm", "-bpf-stack-size=4096", "-Wall", "-Wextra", "-Werror", "-g0"),
]


class CompilerRefused(Exception):
    """The sources have errors or warnings; says all of them."""


def header(which: Built = CASINO) -> str:
    """The C names of what the IDL declares: verbs, events, accounts, errors."""
    idl = json.loads(which.idl.read_text())
    lines = [
        f"// Written from contracts/idl/{which.idl.name} by contracts/solana/build.py.",
        "#pragma once",
        '#include "sol.h"',
        "",
    ]
    for prefix, table in (("VERB", "instructions"), ("EVENT", "events"), ("ACCOUNT", "accounts")):
        lines += [constant(prefix, entry) for entry in idl[table]]
    errors = ", ".join(f"{entry['name']} = {entry['code']}" for entry in idl["errors"])
    return "\n".join([*lines, "", f"enum {{ {errors} }};", ""])


def constant(prefix: str, entry: dict[str, Any]) -> str:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", entry["name"]).upper()
    data = ", ".join(map(str, entry["discriminator"]))
    return f"static const u8 {prefix}_{name}[8] __attribute__((aligned(8))) = {{{data}}};"


def compile_object(source: Path = SOURCE, *flags: str) -> bytes:
    """The relocatable object. Raises `CompilerRefused` with what clang said."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "program.o"
        compiler = [sys.executable, "-m", "ziglang", "cc", *CLANG, *flags]
        done = subprocess.run(
            [*compiler, "-c", source.name, "-o", str(out)],
            cwd=source.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CompilerRefused(done.stderr)
        return out.read_bytes()


def main() -> None:
    for one in (CASINO, BOND):
        one.header.write_text(header(one))
        one.program.parent.mkdir(exist_ok=True)
        one.program.write_bytes(link(compile_object(one.source)))
        print(f"{one.program.relative_to(HERE.parents[1])}: {one.program.stat().st_size} bytes")


if __name__ == "__main__":
    main()
