"""A program as data: where it lives, how to decode it, and what its events mean."""

from __future__ import annotations

import importlib
import json
import tomllib
from collections.abc import Iterable, Mapping
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
REQUIRED = {"chain": str, "network": str, "interface": str, "asset": dict, "events": dict}
OPTIONAL = {"address": str, "start": int, "casino": str}
ASSET = {"slip44": int, "decimals": int, "symbol": str}


class Decoder(Protocol):
    """What `decode.Decoder` of any chain can do."""

    def fields(self) -> dict[str, tuple[str, ...]]: ...
    def instructions(self) -> frozenset[str]: ...
    def decode(self, kind: str, body: bytes) -> tuple[str, dict[str, object]]: ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """One indexed program. `events` is what the file says, one table per event."""

    name: str
    chain: str
    network: str
    address: str
    start: int
    casino: str
    interface: Path
    asset_slip44: int
    decimals: int
    symbol: str
    events: Mapping[str, Mapping[str, Any]]
    file: Path
    _mapped: dict[str, Mapped] = field(default_factory=dict, repr=False, compare=False)

    def facts(self, event_name: str, args: dict[str, Any], raw: Raw) -> list[Fact]:
        """What an event means. An instruction means nothing unless the manifest says so."""
        mapped = self._mapped.get(event_name)
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
        try:
            return json.loads(self.interface.read_text())
        except (OSError, ValueError) as error:
            raise BadManifest(f"{self.file}: interface {self.interface}: {error}") from error

    def decoder(self, interface: Any = None) -> Decoder:
        """The decoder of this program, from its own interface file or from a given one."""
        room = _room(self.chain, "decode")
        try:
            decoder: Decoder = room.Decoder(interface or self.interface_json(), self.address)
        except BadInterface as error:
            raise BadManifest(f"{self.file}: interface {self.interface}: {error}") from error
        return decoder

    def kinds(self) -> frozenset[str]:
        """The kinds of raws worth keeping: instructions only if some mean something."""
        wanted = frozenset(_room(self.chain, "decode").KINDS)
        mapped = self.decoder().instructions() & set(self.events)
        return wanted if mapped else wanted - {"instruction"}

    def validate(self, fields: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """Hold the manifest against the fields of its decoder; BadManifest names what differs."""
        if not self.address:
            raise BadManifest(f"{self.file}: address is missing (here and in the settings)")
        known = self.decoder().fields() if fields is None else fields
        calls = _calls(self.file)
        for event in self.events:
            if event not in known:
                hint = nearest(event, known)
                raise BadManifest(f"{self.file}: unknown event {event!r}{hint}")
        self._mapped.update(_compile(self.file, self.events, known, calls))


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
        interface=_interface(file, values["interface"]),
        asset_slip44=values["asset"]["slip44"],
        decimals=values["asset"]["decimals"],
        symbol=values["asset"]["symbol"],
        events=values["events"],
        file=file,
    )
    manifest._mapped.update(_compile(file, manifest.events, None, _calls(file)))
    return replace(manifest, address=_located(manifest))


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
