"""The door for commands about money: gathered, decided together, answered one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from api.errors import Problem
from api.gatherer import Gatherer, Overloaded
from casino.commands import Answer, Command, Key, KeyReused, commit_ahead, commit_free, commit_many

LONGEST_KEY = 255


def gathered() -> Gatherer[Command, Answer | KeyReused]:
    """One that knows every way to decide commands."""
    return Gatherer(commit_many, commit_free, commit_ahead)


@dataclass
class Desk:
    """All money requests of this process go through one, whichever route they came by."""

    gatherer: Gatherer[Command, Answer | KeyReused] = field(default_factory=gathered)
    _under_way: set[Key] = field(default_factory=set)

    async def decide(self, command: Command) -> Answer:
        """The answer, durable. Who asks again meanwhile waits for the same one.

        Raises `Problem` 422 when the key stands for another request, and 503 when too much waits.
        """
        try:
            answer = await self.gatherer.ask(command)
        except Overloaded as error:
            raise Problem(503, "overloaded", f"too much waits: {error}") from error
        if isinstance(answer, KeyReused):
            raise Problem(422, "idempotency_key_reused", str(answer))
        return answer

    async def decide_once(self, command: Command) -> Answer:
        """The same, but who asks again meanwhile is told so: raises `Problem` 409."""
        if command.place in self._under_way:
            raise Problem(409, "in_progress", f"the request {command.key!r} is being decided")
        self._under_way.add(command.place)
        try:
            return await self.decide(command)
        finally:
            self._under_way.discard(command.place)


def idempotency_key(request: Request) -> str:
    """`X-Idempotency-Key` or `Idempotency-Key`. Raises `Problem` 400 without one of them."""
    found = {
        value
        for name in ("x-idempotency-key", "idempotency-key")
        for value in request.headers.getlist(name)
    }
    if not found:
        raise Problem(400, "idempotency_key_missing", "this needs the header X-Idempotency-Key")
    key = found.pop()
    if found or not 0 < len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise Problem(
            400, "idempotency_key_bad", f"one idempotency key of 1 to {LONGEST_KEY} ASCII letters"
        )
    return key
