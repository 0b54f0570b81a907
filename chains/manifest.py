"""A program as data: where it lives, how to decode it, and what its events mean."""

from __future__ import annotations

import importlib
import json
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from chains import networks
from chains.chain import Fact, Raw
from chains.errors import BadAddress, BadInterface, BadManifest
from chains.facts import UNMAPPED, Calls, Mapped, compile_fact, jsonable, nearest

FOLDER = Path(__file__).parent / "programs"
ROOT = Path(__file__).parent.parent
REQUIRED = {"chain": str, "network": str, "asset": dict, "events": dict}
OPTIONAL = {"address": str, "start": int, "casino": str, "custody": bool}
VERSION = {"file": str}
LATER = {"from": int, "events": dict}
ASSET = {"slip44": int, "decimals": int, "symbol": str}
CUSTODY = {"deposited", "withdrawn"}


class Decoder(Protocol):
    """What `decode.Decoder` of any chain can do."""

    def fields(self) -> dict[str, tuple[str, ...]]: ...
    def instructions(self) -> frozenset[str]: ...
    def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]: ...


@dataclass(frozen=True, slots=True)
class Version:
    """What a program spoke from position `since` on; `events` are those that meant other fields."""

    since: int
    interface: Path
    events: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decoders:
    """The decoders of a program, which may have been upgraded: each from its position on."""

    since: Sequence[int]
    decoders: Sequence[Decoder]

    def at(self, position: int) -> Decoder:
        """The decoder of what was said at a slot or in a block."""
        return self.decoders[version_at(self.since, position)]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One indexed program. `events` is what the file says, one table per event.

    A program that was upgraded has several versions, the oldest first. `custody` says that it
    holds players' money for the house: what is deposited there is credited in the books.
    """

    name: str
    chain: str
    network: str
    address: str
    start: int
    casino: str
    versions: tuple[Version, ...]
    asset_slip44: int
    decimals: int
    symbol: str
    events: Mapping[str, Mapping[str, Any]]
    file: Path
    custody: bool = False
    _mapped: list[dict[str, Mapped]] = field(default_factory=list, repr=False, compare=False)

    @property
    def interface(self) -> Path:
        """The file of the newest version."""
        return self.versions[-1].interface

    def facts(self, event_name: str, args: dict[str, Any], raw: Raw) -> list[Fact]:
        """What an event means. An instruction means nothing unless the manifest says so."""
        at = 0 if len(self._mapped) == 1 else version_at(self._since(), raw.position)
        mapped = self._mapped[at].get(event_name)
        if mapped is not None:
            return mapped(args, raw)
        if raw.kind == "instruction":
            return []
        fields = {"name": event_name, "args": jsonable(args)}
        return [Fact(UNMAPPED, raw.position, raw.tx, raw.index, raw.time, fields)]

    def located(
        self,
        *,
        network: str | None = None,
        address: str | None = None,
        start: int | None = None,
        casino: str | None = None,
    ) -> Manifest:
        """The same program elsewhere, as settings may say."""
        moved = replace(
            self,
            network=network or self.network,
            address=address or self.address,
            start=self.start if start is None else start,
            casino=casino or self.casino,
        )
        return replace(moved, address=_located(moved))

    def interface_json(self) -> Any:
        """What the newest version's file says."""
        return self._json(self.versions[-1])

    def decoders(self) -> Decoders:
        """The decoders of all versions, from their own interface files."""
        made = [self._decoder(version) for version in self.versions]
        return Decoders(self._since(), made)

    def kinds(self) -> frozenset[str]:
        """The kinds of raws worth keeping: instructions only if some mean something."""
        wanted = frozenset(_room(self.chain, "decode").KINDS)
        for version in self.versions:
            if self._decoder(version).instructions() & {*self.events, *version.events}:
                return wanted
        return wanted - {"instruction"}

    def validate(self) -> None:
        """Hold the manifest against its interfaces; BadManifest names what differs.

        An event need not be in every version, but in one.
        """
        if not self.address:
            raise BadManifest(f"{self.file}: address is missing (here and in the settings)")
        calls = _calls(self.file)
        known = [self._decoder(version).fields() for version in self.versions]
        anywhere = {event for fields in known for event in fields}
        for event in self.events:
            if event not in anywhere:
                hint = nearest(event, anywhere)
                raise BadManifest(f"{self.file}: unknown event {event!r}{hint}")
        mapped = []
        for version, fields in zip(self.versions, known, strict=True):
            for event in version.events:
                if event not in fields:
                    where = f"{self.file}: interface {version.interface}"
                    raise BadManifest(f"{where}: unknown event {event!r}{nearest(event, fields)}")
            means = {event: table for event, table in self._means(version) if event in fields}
            mapped.append(_compile(self.file, means, fields, calls))
        self._mapped[:] = mapped

    def _means(self, version: Version) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """The tables of the events as this version has them."""
        return {**self.events, **version.events}.items()

    def _since(self) -> tuple[int, ...]:
        return tuple(version.since for version in self.versions)

    def _json(self, version: Version) -> Any:
        try:
            return json.loads(version.interface.read_text())
        except (OSError, ValueError) as error:
            raise BadManifest(f"{self.file}: interface {version.interface}: {error}") from error

    def _decoder(self, version: Version) -> Decoder:
        interface = self._json(version)
        try:
            decoder: Decoder = _room(self.chain, "decode").Decoder(interface, self.address)
        except BadInterface as error:
            raise BadManifest(f"{self.file}: interface {version.interface}: {error}") from error
        return decoder


def version_at(since: Sequence[int], position: int) -> int:
    """Which version holds at a position; the oldest also before its own."""
    return max(bisect_right(since, position) - 1, 0)


def load(name: str, dirs: Iterable[Path | str] = ()) -> Manifest:
    """The manifest `<name>.toml` from one of the folders, or else from ours."""
    folders = [*(Path(folder) for folder in dirs), FOLDER]
    for folder in folders:
        file = folder / f"{name}.toml"
        if file.is_file():
            return read(file)
    known = sorted({path.stem for folder in folders for path in folder.glob("*.toml")})
    raise BadManifest(f"unknown program {name!r} (known: {', '.join(known)})")


def read(file: Path) -> Manifest:
    """A manifest as far as it can be checked without its interface."""
    try:
        values = tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise BadManifest(f"{file}: {error}") from error
    interface = values.pop("interface", None)
    _check(file, values, REQUIRED, OPTIONAL, "")
    _check(file, values["asset"], ASSET, {}, "asset.")
    if values["chain"] not in networks.CHAINS:
        raise BadManifest(f"{file}: unknown chain {values['chain']!r}")
    manifest = Manifest(
        name=file.stem,
        chain=values["chain"],
        network=values["network"],
        address=values.get("address", ""),
        start=values.get("start", 0),
        casino=values.get("casino", "fairhouse"),
        versions=_versions(file, interface),
        asset_slip44=values["asset"]["slip44"],
        decimals=values["asset"]["decimals"],
        symbol=values["asset"]["symbol"],
        events=values["events"],
        file=file,
        custody=values.get("custody", False),
    )
    calls = _calls(file)
    manifest._mapped[:] = [
        _compile(file, dict(manifest._means(version)), None, calls) for version in manifest.versions
    ]
    if manifest.custody and CUSTODY - set(_meant(manifest)):
        raise BadManifest(f"{file}: a custody needs events that mean {', '.join(sorted(CUSTODY))}")
    return replace(manifest, address=_located(manifest))


def _meant(manifest: Manifest) -> Iterable[str]:
    """The facts that events mean; a withdrawal counts if it says what was asked for."""
    for table in manifest.events.values():
        if table["fact"] != "withdrawn" or "request" in table:
            yield table["fact"]


def _versions(file: Path, said: Any) -> tuple[Version, ...]:
    """One file, or one table for each upgrade with the position that it holds from."""
    if isinstance(said, str):
        return (Version(0, _interface(file, said)),)
    if said is None:
        raise BadManifest(f"{file}: interface is missing")
    if not isinstance(said, list) or not said or not all(isinstance(one, dict) for one in said):
        raise BadManifest(f"{file}: interface must be a file, or tables of file and from")
    made: list[Version] = []
    for table in said:
        _check(file, table, VERSION, LATER, "interface.")
        since = table.get("from", 0)
        if made and since <= made[-1].since:
            raise BadManifest(f"{file}: interface.from must grow from one version to the next")
        made.append(Version(since, _interface(file, table["file"]), table.get("events", {})))
    return tuple(made)


def _compile(
    file: Path,
    events: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, tuple[str, ...]] | None,
    calls: Calls,
) -> dict[str, Mapped]:
    mapped = {}
    for event, table in events.items():
        if not isinstance(table, Mapping) or not isinstance(table.get("fact"), str):
            raise BadManifest(f"{file}: event {event} does not say which fact it means")
        fields = {name: wish for name, wish in table.items() if name != "fact"}
        try:
            mine = None if known is None else known[event]
            mapped[event] = compile_fact(table["fact"], fields, mine, calls)
        except BadManifest as error:
            raise BadManifest(f"{file}: event {event}: {error}") from error
    return mapped


def _check(
    file: Path,
    values: Mapping[str, Any],
    required: Mapping[str, type],
    optional: Mapping[str, type],
    within: str,
) -> None:
    shapes = {**required, **optional}
    for name in values:
        if name not in shapes:
            raise BadManifest(f"{file}: unknown setting {within}{name}{nearest(name, shapes)}")
    for name, shape in shapes.items():
        if name in required and name not in values:
            raise BadManifest(f"{file}: {within}{name} is missing")
        if name in values and type(values[name]) is not shape:
            raise BadManifest(f"{file}: {within}{name} must be of type {shape.__name__}")


def _located(manifest: Manifest) -> str:
    """The canonical address, once network and address go with the chain."""
    try:
        network = networks.load(manifest.network)
    except BadManifest as error:
        raise BadManifest(f"{manifest.file}: {error}") from error
    if network.chain != manifest.chain:
        raise BadManifest(
            f"{manifest.file}: {manifest.network} is a network of {network.chain}, "
            f"the program is for {manifest.chain}"
        )
    if not manifest.address:
        return ""
    try:
        address: str = _room(manifest.chain, "address").canonical(manifest.address)
    except BadAddress as error:
        raise BadManifest(f"{manifest.file}: address: {error}") from error
    return address


def _interface(file: Path, path: str) -> Path:
    """A relative path counts from the manifest's folder, or from the project."""
    beside = file.parent / path
    return beside if beside.exists() else ROOT / path


def _calls(file: Path) -> Calls:
    """The functions of the interpreter file beside the manifest, if it has one."""
    beside = file.with_suffix(".py")
    if not beside.is_file():
        return {}
    scope: dict[str, Any] = {"__name__": f"chains.programs.{file.stem}"}
    exec(compile(beside.read_text(), str(beside), "exec"), scope)
    return {n: f for n, f in scope.items() if callable(f) and not n.startswith("_")}


def _room(chain: str, room: str) -> ModuleType:
    return importlib.import_module(f"chains.{chain}.{room}")
