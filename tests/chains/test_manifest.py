"""Programs as data: what their events mean, and what a wrong manifest says."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from casino import dead_letters
from chains import networks
from chains.chain import Fact, Raw, Undecodable
from chains.errors import BadManifest
from chains.manifest import FOLDER, Manifest, load, read

PROJECT = Path(__file__).parent.parent.parent
ADDRESS = {"evm": "0x" + "ab" * 20, "solana": "FAREvmepkHArRWwLjHmwPQGL9Byg8iKF3hu1vewxTSXe"}
NOW = datetime(2026, 9, 1, tzinfo=UTC)

TOML = """
chain = "evm"
network = "evm-local"
address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
interface = "abi.json"
[asset]
slip44 = 60
decimals = 18
symbol = "ETH"
[events.Bet]
fact = "bet_placed"
bet = "id"
player = "who"
game = { const = "dice" }
stake = "deal.stake"
choice = { low = "deal.low", side = { const = "under" }, seed = "seed" }
client_seed = "seed"
"""
ABI = [
    {
        "type": "event",
        "name": "Bet",
        "inputs": [
            {"name": "id", "type": "uint256"},
            {"name": "who", "type": "address"},
            {
                "name": "deal",
                "type": "tuple",
                "components": [
                    {"name": "stake", "type": "uint256"},
                    {"name": "low", "type": "uint256"},
                ],
            },
            {"name": "seed", "type": "bytes32"},
            {"name": "note", "type": "string"},
        ],
    },
    {"type": "event", "name": "Noted", "inputs": [{"name": "note", "type": "string"}]},
]
ARGS: dict[str, Any] = {
    "id": 2**200,
    "who": "0x" + "11" * 20,
    "deal": {"stake": 10**30, "low": 2**60},
    "seed": b"\1" * 32,
    "note": "",
}


def raw(kind: str = "log") -> Raw:
    return Raw(5, "0xtx", 3, kind, b"", None, None, NOW)


def manifest(folder: Path, toml: str = TOML) -> Manifest:
    (folder / "abi.json").write_text(json.dumps(ABI))
    (folder / "mine.toml").write_text(toml)
    made = load("mine", [folder])
    made.validate()
    return made


def test_an_event_becomes_its_fact(tmp_path: Path) -> None:
    mine = manifest(tmp_path)
    assert mine.address == "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
    assert mine.facts("Bet", ARGS, raw()) == [
        Fact(
            "bet_placed",
            5,
            "0xtx",
            3,
            NOW,
            {
                "bet": str(2**200),
                "player": "0x" + "11" * 20,
                "game": "dice",
                "stake": 10**30,
                "choice": {"low": str(2**60), "side": "under", "seed": "01" * 32},
                "index": None,
                "client_seed": "01" * 32,
                "deadline": None,
            },
        )
    ]


def test_what_is_not_mapped_is_a_system_event(tmp_path: Path) -> None:
    mine = manifest(tmp_path)
    args: dict[str, Any] = {
        "note": "a\0b",
        "big": 2**64,
        "key": b"\xff",
        "inf": float("inf"),
        "l": [b""],
    }
    (fact,) = mine.facts("Noted", args, raw())
    assert fact.kind == "system_event"
    plain = {"note": "a\ufffdb", "big": str(2**64), "key": "ff", "inf": "inf", "l": [""]}
    assert fact.fields == {"name": "Noted", "args": plain}
    assert json.loads(json.dumps(fact.fields)) == fact.fields


def test_an_instruction_means_nothing_unless_mapped(tmp_path: Path) -> None:
    assert manifest(tmp_path).facts("place_bet", {}, raw("instruction")) == []


def test_an_event_may_be_ignored(tmp_path: Path) -> None:
    mine = manifest(tmp_path, TOML + '[events.Noted]\nfact = "ignored"\n')
    assert mine.facts("Noted", {"note": ""}, raw()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"deal": {"stake": -1, "low": 0}},
        {"deal": {"stake": 10**78, "low": 0}},
        {"deal": {"stake": "5", "low": 0}},
        {"deal": {"stake": True, "low": 0}},
        {"deal": None},
        {"deal": {}},
        {"who": None},
        {"who": ["x"]},
    ],
)
def test_values_a_fact_cannot_hold_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        manifest(tmp_path).facts("Bet", {**ARGS, **wrong}, raw())


def test_numbers_beyond_63_bits_are_refused(tmp_path: Path) -> None:
    mine = manifest(tmp_path, TOML + 'index = "id"\n')
    with pytest.raises(Undecodable, match="index"):
        mine.facts("Bet", ARGS, raw())
    assert mine.facts("Bet", {**ARGS, "id": 2**63 - 1}, raw())[0].fields["index"] == 2**63 - 1


def test_an_interpreter_file_and_sums_do_arithmetic(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def doubled(args):\n    return args['deal']['stake'] * 2\n")
    settled = """
    [events.Noted]
    fact = "bet_refunded"
    bet = "note"
    amount = { sum = ["note", "note"] }
    """
    toml = TOML.replace('stake = "deal.stake"', 'stake = { call = "doubled" }')
    mine = manifest(tmp_path, toml + settled)
    assert mine.facts("Bet", ARGS, raw())[0].fields["stake"] == 2 * 10**30
    assert mine.facts("Noted", {"note": 4}, raw())[0].fields == {"bet": "4", "amount": 8}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[events.Bet]", "[events.Bat]", "unknown event 'Bat'; did you mean 'Bet'?"),
        ('"who"', '"whom"', "event Bet: the event has no field 'whom'; did you mean 'who'?"),
        ('"bet_placed"', '"bet_plaid"', "unknown fact 'bet_plaid'; did you mean 'bet_placed'?"),
        ('"bet_placed"', '"system_event"', "unknown fact 'system_event'"),
        ('bet = "id"', "", "fact bet_placed needs bet"),
        ('bet = "id"', 'bat = "id"', "fact bet_placed has no field 'bat'; did you mean 'bet'?"),
        ('fact = "bet_placed"', "", "does not say which fact"),
        ('bet = "id"', "bet = 5", "5 is neither a field"),
        ('{ const = "dice" }', '{ call = "dice" }', "no function 'dice'"),
        ('{ const = "dice" }', "{ sum = [] }", "a sum is a list"),
        ('{ const = "dice" }', "[1]", "1 is no name"),
        ("0x5aAe", "0x5aae", "wrong checksum"),
        ("0x5aAe", "x", "no EVM address"),
        ('network = "evm-local"', 'network = "mars"', "unknown network 'mars'"),
        ('network = "evm-local"', 'network = "solana-local"', "is a network of solana"),
        ('chain = "evm"', 'chain = "tezos"', "unknown chain 'tezos'"),
        ('chain = "evm"', "", "chain is missing"),
        ('chain = "evm"', 'chian = "evm"', "unknown setting chian; did you mean 'chain'?"),
        ("slip44 = 60", 'slip44 = "60"', "asset.slip44 must be of type int"),
        ("slip44 = 60", "", "asset.slip44 is missing"),
        ('"abi.json"', '"nowhere.json"', "nowhere.json"),
        ("[asset]", "[asset", "line"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in TOML
    with pytest.raises(BadManifest) as refused:
        manifest(tmp_path, TOML.replace(old, new, 1))
    assert complaint in str(refused.value)
    assert "mine.toml" in str(refused.value)


@pytest.mark.parametrize("missing", ["Deposited", "Withdrawn", "request"])
def test_a_custody_must_say_what_comes_in_and_what_was_asked_to_go_out(
    tmp_path: Path, missing: str
) -> None:
    toml = (FOLDER / "casino_evm.toml").read_text()
    (tmp_path / "mine.toml").write_text(toml)
    assert load("mine", [tmp_path]).custody
    without = toml.replace('request = "request"\n', "") if missing == "request" else toml
    without = re.sub(rf"\[events\.{missing}\]\n(\w.*\n)*", "", without)
    assert without != toml
    (tmp_path / "mine.toml").write_text(without)
    with pytest.raises(BadManifest, match="a custody needs events that mean deposited, withdrawn"):
        load("mine", [tmp_path])
    (tmp_path / "mine.toml").write_text(without.replace("custody = true\n", ""))
    assert not load("mine", [tmp_path]).custody


def test_an_unknown_program_and_a_missing_address_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match=r"unknown program 'nobody' .known: .*casino_evm"):
        load("nobody", [tmp_path])
    toml = "\n".join(row for row in TOML.splitlines() if not row.startswith("address"))
    with pytest.raises(BadManifest, match="address is missing"):
        manifest(tmp_path, toml)


def test_a_program_may_live_elsewhere(tmp_path: Path) -> None:
    mine = manifest(tmp_path)
    moved = mine.located(network="base", address="0x" + "CD" * 20, start=7, casino="other")
    assert (moved.network, moved.address, moved.start, moved.casino) == (
        "base",
        "0x" + "cd" * 20,
        7,
        "other",
    )
    assert moved.facts("Bet", ARGS, raw()) == mine.facts("Bet", ARGS, raw())
    for wrong in ({"network": "solana-local"}, {"address": "0x1"}):
        with pytest.raises(BadManifest):
            mine.located(**wrong)  # type: ignore[arg-type]


def test_every_network_loads() -> None:
    assert set(networks.names()) == {
        "solana-local",
        "solana-devnet",
        "solana-mainnet",
        "evm-local",
        "ethereum",
        "base",
    }
    for name in networks.names():
        network = networks.load(name)
        assert network.chain in networks.CHAINS
        assert (network.caip2 is None) == name.endswith("-local")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.toml")))
def test_our_manifests_fit_their_interfaces(name: str) -> None:
    ours = read(FOLDER / f"{name}.toml")
    if not ours.interface.is_file():
        pytest.skip(f"{ours.interface} is not built")
    ours = ours.located(address=ours.address or ADDRESS[ours.chain])
    ours.validate()
    assert "instruction" not in ours.kinds()


def test_a_refund_pays_stake_and_penalty() -> None:
    for name in ("casino_evm", "casino_solana"):
        refunded = {"index": 4, "player": "p", "stake": 100, "penalty": 10}
        (fact,) = load(name).facts("BetRefunded", refunded, raw())
        assert (fact.kind, fact.fields) == ("bet_refunded", {"bet": "4", "amount": 110})


def test_both_casinos_mean_the_same() -> None:
    def words(text: str) -> str:
        return "".join("_" + c.lower() if c.isupper() else c for c in text)

    evm, solana = load("casino_evm"), load("casino_solana")
    assert evm.events.keys() == solana.events.keys()
    for event, table in evm.events.items():
        assert json.loads(words(json.dumps(table))) == solana.events[event]


def test_the_vault_of_the_seed_system_is_read_as_bets() -> None:
    vault = load("fare_vault")
    trial = {
        "trial_id": "t",
        "who": "w",
        "pool_id": "p",
        "multiplier": 2**64 - 1,
        "qk": [[[0.5, 1.9]]],
        "extra_data_hash": "x",
    }
    (placed,) = vault.facts("TrialRegistered", trial, raw())
    assert placed.fields["stake"] == 2**64 - 1
    assert placed.fields["choice"] == {"qk": [[[0.5, 1.9]]], "extra_data_hash": "x"}
    args: dict[str, Any] = {"trial_id": "t", "result_index": 1, "randomness": 0.25}
    (settled,) = vault.facts("TrialResolved", args, raw())
    assert settled.fields == {
        "bet": "t",
        "player": None,
        "payout": None,
        "outcome": {"result_index": 1, "randomness": 0.25},
    }
    args = {"pool_id": "p", "trial_id": "t", "receiver": "w", "released_amount": 9}
    (won,) = vault.facts("PoolAccumulatedAmountReleased", args, raw())
    assert (won.kind, won.fields) == (
        "jackpot_won",
        {"player": "w", "amount": 9, "pool": "p", "bet": "t"},
    )
    assert (
        vault.facts("EvThresholdUpdated", {"new_ev_threshold": 1.0}, raw())[0].kind
        == "system_event"
    )


NEWER = json.loads(json.dumps(ABI).replace('"who"', '"player"'))
UPGRADED = TOML.replace(
    'interface = "abi.json"\n',
    "",
).replace('"who"', '"player"')
VERSIONS = """
[[interface]]
file = "abi.json"
[interface.events.Bet]
fact = "bet_placed"
bet = "id"
player = "who"
game = { const = "old dice" }
stake = "deal.stake"

[[interface]]
file = "newer.json"
from = 100
"""


def upgraded(folder: Path, versions: str = VERSIONS) -> Manifest:
    (folder / "newer.json").write_text(json.dumps(NEWER))
    return manifest(folder, UPGRADED + versions)


def test_an_upgraded_program_is_read_as_it_was_at_the_time(tmp_path: Path) -> None:
    mine = upgraded(tmp_path)
    assert mine.interface.name == "newer.json"
    assert mine.interface_json() == NEWER
    decoders = mine.decoders()
    fields = [decoders.at(at).fields()["Bet"] for at in (0, 99, 100, 10**9)]
    assert [names[1] for names in fields] == ["who", "who", "player", "player"]
    newer = {**ARGS, "player": "0x" + "22" * 20}
    del newer["who"]
    for at, args, game in ((99, ARGS, "old dice"), (100, newer, "dice")):
        (fact,) = mine.facts("Bet", args, msgspec.structs.replace(raw(), position=at))
        assert (fact.kind, fact.fields["game"]) == ("bet_placed", game)
        assert fact.fields["player"] == args.get("who", args.get("player"))
        with pytest.raises(Undecodable, match="lacks a mapped field"):
            mine.facts("Bet", args, msgspec.structs.replace(raw(), position=199 - at))


def test_the_same_bytes_are_read_by_the_layout_of_their_slot(tmp_path: Path) -> None:
    old = json.loads((PROJECT / "contracts/idl/casino.json").read_text())
    new = json.loads(json.dumps(old))
    fields = next(one for one in new["types"] if one["name"] == "PauseSet")["type"]["fields"]
    fields.append({"name": "until", "type": "u64"})
    (tmp_path / "old.json").write_text(json.dumps(old))
    (tmp_path / "new.json").write_text(json.dumps(new))
    toml = (FOLDER / "casino_solana.toml").read_text()
    versions = '[[interface]]\nfile = "old.json"\n[[interface]]\nfile = "new.json"\nfrom = 500\n'
    toml = toml.replace('interface = "contracts/idl/casino.json"\n', "") + versions
    (tmp_path / "both.toml").write_text(toml)
    both = load("both", [tmp_path]).located(address=ADDRESS["solana"])
    both.validate()
    body = hashlib.sha256(b"event:PauseSet").digest()[:8] + b"\1"
    longer = body + (7).to_bytes(8, "little")
    found = [Raw(slot, "t", 0, "data", body) for slot in (0, 499)]
    found += [Raw(slot, "t", 0, "data", longer) for slot in (500, 9_999)]
    facts, letters = dead_letters.read(both.decoders(), both, found)
    assert not letters
    assert [fact.fields["args"] for fact in facts] == [
        {"paused": True},
        {"paused": True},
        {"paused": True, "until": 7},
        {"paused": True, "until": 7},
    ]
    # In the other's slots, each is a dead letter and no guess.
    swapped = [Raw(499, "t", 0, "data", longer), Raw(500, "t", 0, "data", body)]
    facts, letters = dead_letters.read(both.decoders(), both, swapped)
    assert (facts, len(letters)) == ([], 2)


def test_an_event_that_only_one_version_has_may_be_mapped(tmp_path: Path) -> None:
    added = [*NEWER, {"type": "event", "name": "Gone", "inputs": []}]
    (tmp_path / "newer.json").write_text(json.dumps(added))
    mine = manifest(tmp_path, UPGRADED + VERSIONS + '\n[events.Gone]\nfact = "ignored"\n')
    assert "Gone" not in mine.decoders().at(0).fields()
    (fact,) = mine.facts("Gone", {}, raw())
    assert fact.kind == "system_event"
    assert mine.facts("Gone", {}, msgspec.structs.replace(raw(), position=100)) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("from = 100", "from = 0", "interface.from must grow from one version to the next"),
        ("from = 100", "form = 100", "unknown setting interface.form; did you mean 'from'?"),
        ("from = 100", 'from = "100"', "interface.from must be of type int"),
        ('file = "newer.json"', "", "interface.file is missing"),
        ('"newer.json"', '"nowhere.json"', "nowhere.json"),
        ("[interface.events.Bet]", "[interface.events.Bat]", "abi.json: unknown event 'Bat'"),
        ('player = "who"', 'player = "player"', "event Bet: the event has no field 'player'"),
        (VERSIONS, "", "interface is missing"),
        (VERSIONS, "[interface]\nfile = 'abi.json'", "must be a file, or tables of file and from"),
    ],
)
def test_wrong_versions_are_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in VERSIONS
    with pytest.raises(BadManifest) as refused:
        upgraded(tmp_path, VERSIONS.replace(old, new, 1))
    assert complaint in str(refused.value)
    assert "mine.toml" in str(refused.value)
