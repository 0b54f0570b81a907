"""Choices of games as bodies say them: of all that is said, the game's own fields are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.errors import Problem
from games.rules import Game


def parsed(rules: Game, said: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A choice, and the same in plain values as it is kept. Raises `Problem` 422."""
    game = rules.NAME.decode()
    try:
        choice = msgspec.convert(said, type=rules.Choice, strict=True)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        raise Problem(422, "bad_choice", f"no choice of {game}: {error}") from error
    plain: dict[str, Any] = msgspec.to_builtins(choice)
    if not said.keys() <= plain.keys():
        raise Problem(422, "bad_choice", f"a choice of {game} has {', '.join(plain)} and no more")
    return choice, plain
