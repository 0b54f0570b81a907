"""Published vectors: what any other implementation of the scheme can be held to."""

from __future__ import annotations

import json
from pathlib import Path

from games.fairness.published import broken, values

FILE = Path(__file__).resolve().parents[3] / "docs" / "fairness" / "vectors.json"


def vectors() -> dict[str, object]:
    return {
        "scheme": "cgf/v1",
        "research": [values.research()],
        "rounds": list(values.round_cases()),
        "leaves": list(values.leaf_cases()),
        "merkle": list(values.merkle_cases()),
        "drand_rounds": list(values.drand_cases()),
        "pairs": list(values.pair_cases()),
        "below": list(values.below_cases()),
        "shuffles": list(values.shuffle_cases()),
        "games": list(values.game_cases()),
        "points": list(values.point_cases()),
        "proofs": list(broken.proof_cases()),
    }


def text() -> str:
    """One case on a line, so that a change shows as the cases it changes."""
    parts = []
    for name, told in vectors().items():
        if isinstance(told, list):
            lines = ",\n".join("  " + json.dumps(case, separators=(",", ":")) for case in told)
            parts.append(f' "{name}": [\n{lines}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(told)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
