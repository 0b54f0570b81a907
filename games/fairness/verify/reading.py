"""Reading: every field of a proof has one way to be written, and is refused in any other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}")
HEX = re.compile(r"(?:[0-9a-f]{2})*")
TEXT = re.compile(r"[!-~]{1,160}")


class Malformed(ValueError):
    """A proof that cannot be read; `field` is where, such as `schedule.first`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class Fields:
    """One object of a proof, with exactly the fields it must have."""

    def __init__(self, value: object, path: str, names: Sequence[str]) -> None:
        if not isinstance(value, Mapping):
            raise Malformed(path or "proof", "is no object")
        if not all(isinstance(name, str) for name in value):
            raise Malformed(path or "proof", "has a field without a name")
        self._value, self._path = value, path
        for name in names:
            if name not in value:
                raise Malformed(self.path(name), "is missing")
        for name in value:
            if name not in names:
                raise Malformed(self.path(name[:40]), "is no field of it")

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def inner(self, name: str, names: Sequence[str]) -> Fields:
        return Fields(self._value[name], self.path(name), names)

    def text(self, name: str, pattern: re.Pattern[str] = TEXT) -> bytes:
        return text(self._value[name], self.path(name), pattern)

    def number(self, name: str, *, bits: int = 64) -> int:
        return number(self._value[name], self.path(name), bits=bits)

    def raw(self, name: str, sizes: Sequence[int]) -> bytes:
        return raw(self._value[name], self.path(name), sizes)

    def hash(self, name: str) -> bytes:
        return hashed(self._value[name], self.path(name))

    def take(self, name: str, read: Callable[[object, str], T]) -> T:
        return read(self._value[name], self.path(name))

    def rows(self, name: str, read: Callable[[object, str], T], *, most: int) -> tuple[T, ...]:
        return row(self._value[name], self.path(name), read, most=most)

    def maybe(self, name: str, read: Callable[[object, str], T]) -> T | None:
        """None where the proof says null."""
        return None if self._value[name] is None else self.take(name, read)

    def draw(self, name: str) -> int | tuple[int, ...]:
        value, path = self._value[name], self.path(name)
        if isinstance(value, str):
            return number(value, path, bits=53)
        return row(value, path, lambda one, at: number(one, at, bits=53), most=80)


def text(value: object, path: str, pattern: re.Pattern[str] = TEXT) -> bytes:
    if not isinstance(value, str):
        raise Malformed(path, "is no text")
    if not pattern.fullmatch(value):
        raise Malformed(path, f"does not read {pattern.pattern}")
    return value.encode()


def number(value: object, path: str, *, bits: int = 64) -> int:
    if not isinstance(value, str) or not DECIMAL.fullmatch(value):
        raise Malformed(path, "is no number as decimal digits without sign or leading zeros")
    if int(value) >= 1 << bits:
        raise Malformed(path, f"is beyond 2^{bits}-1")
    return int(value)


def raw(value: object, path: str, sizes: Sequence[int]) -> bytes:
    """Bytes of one of the sizes."""
    if not isinstance(value, str):
        raise Malformed(path, "is no text of hex digits")
    if len(value) % 2 or len(value) // 2 not in sizes:
        told = " or ".join(map(str, sizes)) if len(sizes) < 4 else f"{sizes[0]}..{sizes[-1]}"
        raise Malformed(path, f"has {told} bytes, not {len(value)} hex digits")
    if not HEX.fullmatch(value):
        raise Malformed(path, "is not in lower-case hex digits")
    return bytes.fromhex(value)


def row(value: object, path: str, read: Callable[[object, str], T], *, most: int) -> tuple[T, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Malformed(path, "is no list")
    if len(value) > most:
        raise Malformed(path, f"has at most {most} entries, not {len(value)}")
    return tuple(read(one, f"{path}[{at}]") for at, one in enumerate(value))


def hashed(value: object, path: str) -> bytes:
    return raw(value, path, (32,))
