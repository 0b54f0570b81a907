"""Metadata: what a caller notes down beside a movement, JSON that is bounded in size and depth."""

from __future__ import annotations

from typing import Any

import orjson

from api.errors import Problem

MOST_BYTES, MOST_LEVELS = 4096, 5


def bounded(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Metadata as it came. Raises `Problem` 422 when it is more than a note."""
    if metadata is None:
        return None
    if deeper(metadata, MOST_LEVELS):
        raise Problem(422, "metadata_too_deep", f"metadata has at most {MOST_LEVELS} levels")
    written = orjson.dumps(metadata)
    if len(written) > MOST_BYTES:
        raise Problem(422, "metadata_too_large", f"metadata has at most {MOST_BYTES} bytes")
    if b"\\u0000" in written.replace(b"\\\\", b""):
        raise Problem(422, "metadata_not_text", "metadata holds no character U+0000")
    return metadata


def deeper(value: object, levels: int) -> bool:
    """Whether JSON is nested deeper than so many levels; looks no deeper than that."""
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper(one, levels - 1) for one in inside)
