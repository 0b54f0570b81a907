"""The EVM contracts, under forge's own tests; `make check` proves that their build repeats."""

from __future__ import annotations

import subprocess

from contracts import build_evm
from local import node


def test_forge_passes_every_test_of_the_contract() -> None:
    forge = node.package("@foundry-rs", "forge-linux-amd64", "bin", "forge")
    done = subprocess.run(
        [forge, "test", "--offline"],
        cwd=build_evm.HERE / "evm",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed, 0 skipped" in done.stdout
