"""Writes the published vectors; never edit them by hand."""

from __future__ import annotations

import sys

from games.fairness.published import FILE, text

FILE.parent.mkdir(parents=True, exist_ok=True)
FILE.write_text(text())
sys.stdout.write(f"{FILE.name}: {len(FILE.read_text())} characters\n")
