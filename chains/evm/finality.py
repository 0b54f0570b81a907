"""What is final on an EVM chain: the node's own word, or a depth where it has none."""

from __future__ import annotations

import re

UNSUPPORTED = re.compile(
    r"finalized|safe block|unknown block tag|invalid (block|argument|params|tag)|unsupported"
    r"|not supported|cannot unmarshal|hex string",
    re.IGNORECASE,
)


def unsupported(code: int, said: str) -> bool:
    """Whether a refusal means that the chain knows no `finalized` tag, not that it is busy."""
    return code in (-32602, -32601, -39001) or UNSUPPORTED.search(said) is not None


def height(head: int, depth: int) -> int:
    """The newest height that has `depth` blocks above it."""
    return max(0, head - depth)
