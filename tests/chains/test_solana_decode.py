"""What counts as an event of a Solana program, and what only looks like one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chains.chain import Raw, RetryLater, Undecodable
from chains.solana import address
from chains.solana.decode import DATA_INDEX, EVENT_TAG, Decoder, candidates
from chains.solana.interface import snake

HERE = Path(__file__).parent.parent
RECORDED = HERE.parent.parent / "shared" / "fixtures" / "solana"
US, THEM, PLAYER, OTHER = (address.write(bytes([n]) * 32) for n in (7, 8, 9, 10))
BUDGET = "ComputeBudget111111111111111111111111111111"
AUTHORITY = address.event_authority(US)
TIP = bytes((3, 1, 4))
IDL = {
    "address": US,
    "metadata": {"spec": "0.1.0"},
    "instructions": [
        {
            "name": "bet",
            "discriminator": [1],
            "accounts": [{"name": "player"}, {"name": "patron", "optional": True}],
            "args": [{"name": "stake", "type": "u64"}],
        },
        {"name": "look", "discriminator": [2, 2], "accounts": [], "args": []},
    ],
    "events": [{"name": "Tip", "discriminator": list(TIP)}],
    "types": [
        {"name": "Tip", "type": {"kind": "struct", "fields": [{"name": "amount", "type": "u64"}]}}
    ],
}


def tip(amount: int) -> bytes:
    return TIP + struct.pack("<Q", amount)


def line(*fields: bytes) -> str:
    return "Program data: " + " ".join(base64.b64encode(one).decode() for one in fields)


def frame(program: str, *inside: str, depth: int = 1) -> list[str]:
    return [
        f"Program {program} invoke [{depth}]",
        *inside,
        f"Program {program} consumed 5 of 200000 compute units",
        f"Program {program} success",
    ]


def call(program: str, data: bytes, *accounts: str, height: int | None = None) -> dict[str, Any]:
    return {"program": program, "data": data, "accounts": accounts, "height": height}


def tx(
    *outer: dict[str, Any],
    logs: list[str] | None = None,
    inner: dict[int, list[dict[str, Any]]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A `getTransaction` answer, as encoding=json gives it."""
    keys: list[str] = []

    def compiled(one: dict[str, Any]) -> dict[str, Any]:
        for key in (one["program"], *one["accounts"]):
            if key not in keys:
                keys.append(key)
        return {
            "programIdIndex": keys.index(one["program"]),
            "accounts": [keys.index(key) for key in one["accounts"]],
            "data": address.to_base58(one["data"]),
            "stackHeight": one["height"],
        }

    instructions = [compiled(one) for one in outer]
    groups = [
        {"index": at, "instructions": [compiled(one) for one in group]}
        for at, group in (inner or {}).items()
    ]
    return {
        "slot": 77,
        "blockTime": 1_700_000_000,
        "version": 0,
        "transaction": {
            "signatures": ["sig"],
            "message": {"accountKeys": keys, "instructions": instructions},
        },
        "meta": {"err": None, "innerInstructions": groups, "logMessages": logs or [], **more},
    }


def events(answer: dict[str, Any]) -> list[tuple[int, str, object]]:
    """(index, kind, amount) of every event that decodes."""
    found = []
    for raw in candidates(answer, US):
        if raw.kind != "instruction":
            name, args = Decoder(IDL, US).decode(raw.kind, raw.body)
            assert name == "Tip"
            found.append((raw.index, raw.kind, args["amount"]))
    return found


BET = b"\1" + struct.pack("<Q", 5)


def test_two_followed_programs_in_one_tx_have_places_of_their_own() -> None:
    """A place is unique in its tx, whoever is followed: both are kept side by side."""
    inside = frame(THEM, line(tip(2)), depth=2)
    outer = frame(US, line(tip(1)), *inside, line(tip(3)))
    for logs in (outer, [*outer[:-2], "Log truncated"]):
        answer = tx(
            call(US, BET, PLAYER), logs=logs, inner={0: [call(THEM, BET, PLAYER, height=2)]}
        )
        ours = {raw.index for raw in candidates(answer, US)}
        theirs = {raw.index for raw in candidates(answer, THEM)}
        assert len(ours) >= 3
        assert len(theirs) >= 2
        assert not ours & theirs


def test_a_logged_event_is_found_with_its_place_and_time() -> None:
    answer = tx(call(US, BET, PLAYER), logs=frame(US, line(tip(2**64 - 1)), line(tip(1))))
    raws = candidates(answer, US)
    assert [(r.position, r.tx, r.index, r.kind) for r in raws] == [
        (77, "sig", 0, "instruction"),
        (77, "sig", DATA_INDEX + 1, "data"),
        (77, "sig", DATA_INDEX + 2, "data"),
    ]
    assert raws[0].time is not None
    assert raws[0].time.isoformat() == "2023-11-14T22:13:20+00:00"
    assert [e[2] for e in events(answer)] == [2**64 - 1, 1]
    assert candidates(answer, OTHER) == []
    assert [r.kind for r in candidates(answer, US, ("data",))] == ["data", "data"]


def test_times_may_be_absent() -> None:
    answer = tx(call(US, BET, PLAYER)) | {"blockTime": None}
    assert candidates(answer, US)[0].time is None


def test_a_failed_transaction_holds_nothing() -> None:  # S22
    answer = tx(call(US, BET, PLAYER), logs=frame(US, line(tip(1))), err={"NewError": [0, "?"]})
    assert candidates(answer, US) == []


def test_an_unfinished_answer_is_asked_for_again() -> None:  # S21, S23
    with pytest.raises(RetryLater):
        candidates(None, US)
    with pytest.raises(RetryLater):
        candidates(tx(call(US, BET)) | {"meta": None}, US)


def test_looked_up_accounts_follow_the_static_ones_writable_first() -> None:  # S24
    answer = tx(call(US, BET, PLAYER, OTHER))
    message = answer["transaction"]["message"]
    message["accountKeys"] = [US]
    answer["meta"]["loadedAddresses"] = {"writable": [PLAYER], "readonly": [OTHER]}
    _, args = Decoder(IDL, US).decode("instruction", candidates(answer, US)[0].body)
    assert args == {"stake": 5, "accounts": {"player": PLAYER, "patron": OTHER}}


def test_called_by_another_program_and_several_times_is_all_found() -> None:  # S25, S26
    deep = frame(US, line(tip(4)), depth=2)
    answer = tx(
        call(BUDGET, b"\2"),
        call(THEM, b"x"),
        call(US, BET, PLAYER),
        inner={1: [call(US, BET, PLAYER, height=2), call(US, BET, OTHER, height=2)]},
        logs=frame(BUDGET) + frame(THEM, *deep, *deep) + frame(US, line(tip(4)), line(tip(4))),
    )
    raws = candidates(answer, US)
    assert [r.index for r in raws if r.kind == "instruction"] == [65537, 65538, 131072]
    assert [e[2] for e in events(answer)] == [4, 4, 4, 4]


def test_a_malformed_transaction_is_quarantined_alone() -> None:  # S27
    answer = tx(call(THEM, b"x"), inner={0: [call(US, BET, height=2)]})
    del answer["meta"]["innerInstructions"][0]["instructions"][0]["data"]
    others: list[Any] = [{"slot": 1}, [], "text", {"meta": {"err": None}, "slot": 1}]
    for broken in (answer, *others):
        with pytest.raises(Undecodable):
            candidates(broken, US)


def test_foreign_bytes_of_our_shape_are_not_ours() -> None:  # S30
    logs = frame(US, *frame(THEM, line(tip(9)), depth=2), line(tip(1))) + frame(THEM, line(tip(8)))
    assert [e[2] for e in events(tx(call(US, BET), call(THEM, b""), logs=logs))] == [1]


@pytest.mark.parametrize(
    "spoof",
    [
        f"Program log: Program {US} invoke [2]",
        f"Program log: \nProgram {US} invoke [2]",
        f"Program data: \nProgram {US} invoke [2]",
        f"Program log: Program {THEM} success",
        f"Program {US} invoke [2]\n",
        f"Program return: {US} AQ==",
        f"Program log: Log truncated\nProgram {US} invoke [1]",
    ],
)
def test_text_that_looks_like_an_invocation_moves_nothing(spoof: str) -> None:  # S31
    logs = frame(THEM, spoof, line(tip(9))) + frame(US, line(tip(1)))
    assert [e[2] for e in events(tx(call(THEM, b""), call(US, BET), logs=logs))] == [1]


def test_a_cut_log_leaves_a_dead_letter_where_events_may_be_missing() -> None:  # S32
    cut = [*frame(US, line(tip(1)))[:2], "Log truncated"]
    raws = candidates(tx(call(US, BET, PLAYER), logs=cut), US)
    assert [r.body for r in raws if r.kind == "data"] == [tip(1), b""]
    with pytest.raises(Undecodable, match="missing"):
        Decoder(IDL, US).decode("data", b"")


def test_a_cut_log_costs_nothing_once_our_frames_were_whole() -> None:  # S32
    cut = [*frame(US, line(tip(1))), f"Program {THEM} invoke [1]", "Log truncated"]
    assert [e[2] for e in events(tx(call(US, BET), call(THEM, b""), logs=cut))] == [1]


def test_programs_without_frames_and_plain_lines_do_not_shift_the_stack() -> None:  # S33
    logs = [
        "Program is not deployed",
        *frame(US, "Program consumption: 99 units remaining", "Transfer: hello", line(tip(1))),
        "Create Account: account Address { address: x, base: None } already in use",
    ]
    ed25519 = "Ed25519SigVerify111111111111111111111111111"
    assert [e[2] for e in events(tx(call(ed25519, b"\0"), call(US, BET), logs=logs))] == [1]


def test_frames_that_do_not_nest_are_not_trusted() -> None:  # S33
    logs = [f"Program {THEM} success", *frame(US, line(tip(1)))]
    raws = candidates(tx(call(US, BET), logs=logs), US)
    assert [r.body for r in raws if r.kind == "data"] == [b""]
    raws = candidates(tx(call(US, BET), logMessages=None), US)
    assert [r.body for r in raws if r.kind == "data"] == [b""]


def self_called(*accounts: str, height: int | None = 2, outer: str = US) -> dict[str, Any]:
    event = call(US, EVENT_TAG + tip(6), *accounts, height=height)
    return tx(call(outer, BET, PLAYER), inner={0: [event]}, logs=frame(outer, *frame(US, depth=2)))


def test_a_self_called_event_is_found() -> None:  # S34
    assert events(self_called(AUTHORITY)) == [(1, "cpi", 6)]
    assert events(self_called(AUTHORITY, height=None)) == [(1, "cpi", 6)]


@pytest.mark.parametrize(
    "forged",
    [
        self_called(AUTHORITY, outer=THEM),
        self_called(AUTHORITY, outer=THEM, height=None),
        self_called(OTHER),
        self_called(),
        self_called(AUTHORITY, PLAYER),
        self_called(AUTHORITY, height=3),
        tx(call(US, EVENT_TAG + tip(6), AUTHORITY)),
        # The attack of July 2026: a read-only instruction, the event behind its arguments.
        tx(
            call(THEM, b""),
            inner={0: [call(US, b"\2\2" + EVENT_TAG + tip(6), AUTHORITY, height=2)]},
        ),
    ],
)
def test_a_forged_self_call_is_no_event(forged: dict[str, Any]) -> None:  # S34
    raws = candidates(forged, US)
    assert "cpi" not in {raw.kind for raw in raws}
    for raw in raws:
        if raw.kind == "instruction":
            with contextlib.suppress(Undecodable):
                assert Decoder(IDL, US).decode(raw.kind, raw.body)[0] != "Tip"


def test_the_caller_of_a_deep_event_is_the_frame_around_it() -> None:  # S34
    event = call(US, EVENT_TAG + tip(6), AUTHORITY, height=3)
    ours = [call(US, BET, PLAYER, height=2), call(THEM, b"", height=3), event]
    theirs = [call(US, BET, PLAYER, height=2), call(THEM, b"", height=2), event]
    logs = frame(THEM, *frame(US, depth=2), *frame(US, depth=2))
    assert events(tx(call(THEM, b""), inner={0: ours}, logs=logs)) == [(3, "cpi", 6)]
    assert events(tx(call(THEM, b""), inner={0: theirs}, logs=logs)) == []


def test_a_cut_log_is_no_loss_for_a_program_that_calls_itself() -> None:  # S32
    answer = self_called(AUTHORITY)
    answer["meta"]["logMessages"] = ["Log truncated"]
    assert events(answer) == [(1, "cpi", 6)]


def said_twice(*amounts: int, **also: Any) -> dict[str, Any]:
    """A bet whose every event is logged and self-called, as Anchor's emit_cpi! and ours do."""
    said = [(line(tip(n)), *frame(US, depth=2)) for n in amounts]
    calls = [call(US, EVENT_TAG + tip(n), AUTHORITY, height=2) for n in amounts]
    logs = frame(US, *(one for lines in said for one in lines))
    return tx(call(US, BET, PLAYER), inner={0: calls}, logs=logs, **also)


def test_an_event_said_in_both_ways_is_one_at_the_place_of_its_call() -> None:
    assert events(said_twice(6)) == [(1, "cpi", 6)]
    assert events(said_twice(6, 6, 7)) == [(1, "cpi", 6), (2, "cpi", 6), (3, "cpi", 7)]


def test_wherever_its_log_is_cut_an_event_said_in_both_ways_is_the_same_one() -> None:
    whole = said_twice(6, 7)
    logs = whole["meta"]["logMessages"]
    for at in range(len(logs)):
        cut = said_twice(6, 7)
        cut["meta"]["logMessages"] = [*logs[:at], "Log truncated"]
        assert candidates(cut, US) == candidates(whole, US)
    assert candidates(said_twice(6, 7, logMessages=None), US) == candidates(whole, US)


def test_an_event_logged_more_often_than_called_is_kept_for_the_rest() -> None:
    answer = said_twice(6)
    answer["meta"]["logMessages"][2:2] = [line(tip(6)), line(tip(8))]
    places = [(1, "cpi", 6), (DATA_INDEX + 2, "data", 6), (DATA_INDEX + 3, "data", 8)]
    assert events(answer) == places


def test_a_call_that_another_program_forged_swallows_no_logged_event() -> None:
    forged = call(US, EVENT_TAG + tip(1), AUTHORITY, height=2)
    logs = frame(US, line(tip(1))) + frame(THEM, *frame(US, depth=2))
    answer = tx(call(US, BET, PLAYER), call(THEM, b""), inner={1: [forged]}, logs=logs)
    assert events(answer) == [(DATA_INDEX + 1, "data", 1)]


def lost(answer: dict[str, Any]) -> bool:
    """Whether a dead letter will stand for what may be missing."""
    return b"" in {raw.body for raw in candidates(answer, US) if raw.kind == "data"}


def test_a_frame_that_only_logs_loses_what_a_cut_log_took_from_it() -> None:
    """Beside it stands one that called itself: what that one said is whole."""
    calls = [call(US, EVENT_TAG + tip(6), AUTHORITY, height=2)]
    logs = [*frame(US, *frame(US, depth=2)), f"Program {US} invoke [1]", "Log truncated"]
    answer = tx(call(US, BET, PLAYER), call(US, BET, OTHER), inner={0: calls}, logs=logs)
    assert lost(answer)
    answer["meta"]["logMessages"] = [*frame(US, *frame(US, depth=2)), *frame(US), "Log truncated"]
    assert not lost(answer)
    answer["meta"]["logMessages"] = ["Log truncated"]
    assert lost(answer)


def test_a_frame_whose_end_was_cut_off_is_not_taken_for_one_within_it() -> None:
    event = call(US, EVENT_TAG + tip(6), AUTHORITY, height=4)
    calls = [call(THEM, b"", height=2), call(US, BET, OTHER, height=3), event]
    inside = frame(THEM, *frame(US, *frame(US, depth=4), depth=3), depth=2)
    logs = [f"Program {US} invoke [1]", *inside, "Log truncated"]
    assert lost(tx(call(US, BET, PLAYER), inner={0: calls}, logs=logs))
    assert not lost(tx(call(US, BET, PLAYER), inner={0: calls}, logs=frame(US, *inside)))


def test_a_program_that_was_heard_to_log_alone_may_have_lost_more() -> None:
    answer = said_twice(6)
    answer["meta"]["logMessages"] = [f"Program {US} invoke [1]", line(tip(9)), "Log truncated"]
    assert [r.index for r in candidates(answer, US, ("cpi", "data"))][:2] == [1, DATA_INDEX + 1]
    assert lost(answer)
    answer["meta"]["logMessages"][1] = line(tip(6))
    assert not lost(answer)


@pytest.mark.parametrize(
    "text",
    [
        line(tip(1), tip(2)),
        "Program data: ",
        "Program data: ====",
        "Program data: \u00e9",
        line(tip(1)[:-1]),
        line(tip(1) + b"\0"),
        line(b"\3"),
        line(b"unknown layout"),
    ],
)
def test_what_cannot_be_read_is_kept_for_the_dead_letters(text: str) -> None:  # S35, S36
    raws = [r for r in candidates(tx(call(US, BET), logs=frame(US, text)), US) if r.kind == "data"]
    assert len(raws) == 1
    with pytest.raises(Undecodable) as refused:
        Decoder(IDL, US).decode("data", raws[0].body)
    assert refused.value.reason


def test_longer_beginnings_are_tried_first() -> None:  # S37
    fields = [{"name": "n", "type": "u8"}]
    idl = {
        "events": [
            {"name": "Short", "discriminator": [1], "fields": fields},
            {"name": "Long", "discriminator": [1, 1, 1, 1, 1, 1, 1, 1, 1], "fields": fields},
        ]
    }
    decoder = Decoder(idl, US)
    assert decoder.decode("data", b"\1\5") == ("Short", {"n": 5})
    assert decoder.decode("data", b"\1" * 9 + b"\6") == ("Long", {"n": 6})


def test_old_interfaces_get_their_computed_beginnings() -> None:
    idl = {
        "name": "old",
        "instructions": [
            {
                "name": "placeBetV2",
                "accounts": [{"name": "group", "accounts": [{"name": "player", "isMut": True}]}],
                "args": [
                    {"name": "who", "type": "publicKey"},
                    {"name": "p", "type": {"defined": "P"}},
                ],
            }
        ],
        "events": [
            {"name": "BetPlaced", "fields": [{"name": "stake", "type": "u64", "index": False}]}
        ],
        "types": [
            {"name": "P", "type": {"kind": "struct", "fields": [{"name": "x", "type": "u8"}]}}
        ],
    }
    decoder = Decoder(idl, US)
    begins = hashlib.sha256(b"event:BetPlaced").digest()[:8]
    assert decoder.decode("data", begins + struct.pack("<Q", 3)) == ("BetPlaced", {"stake": 3})
    begins = hashlib.sha256(b"global:place_bet_v2").digest()[:8]
    answer = tx(call(US, begins + bytes([9]) * 32 + b"\7", PLAYER, OTHER))
    assert decoder.decode("instruction", candidates(answer, US)[0].body) == (
        "placeBetV2",
        {
            "who": PLAYER,
            "p": {"x": 7},
            "accounts": {"group": {"player": PLAYER}, "remaining": [OTHER]},
        },
    )
    assert decoder.fields() == {"BetPlaced": ("stake",), "placeBetV2": ("who", "p", "accounts")}
    assert decoder.instructions() == {"placeBetV2"}


def test_an_absent_optional_account_is_none() -> None:
    raw = candidates(tx(call(US, BET, PLAYER, US)), US)[0]
    assert Decoder(IDL, US).decode(raw.kind, raw.body)[1]["accounts"] == {
        "player": PLAYER,
        "patron": None,
    }


@pytest.mark.parametrize(
    ("camel", "words"),
    [("placeBet", "place_bet"), ("initV2", "init_v2"), ("setHTTPUrl", "set_http_url"), ("a", "a")],
)
def test_verbs_are_named_as_anchor_names_them(camel: str, words: str) -> None:
    assert snake(camel) == words


@pytest.mark.parametrize("version", [0, 1])
def test_every_version_of_a_message_is_read_from_bytes(version: int) -> None:  # S17, S18
    key = Keypair()
    instruction = Instruction(Pubkey.from_string(US), BET, [AccountMeta(key.pubkey(), True, True)])
    if version == 0:
        message: Any = MessageV0.try_compile(key.pubkey(), [instruction], [], Hash.default())
    else:
        message = MessageV1.try_compile(key.pubkey(), [instruction], Hash.default())
    signed = VersionedTransaction(message, [key])
    answer = tx()
    answer["transaction"] = [base64.b64encode(bytes(signed)).decode(), "base64"]
    (raw,) = candidates(answer, US, ("instruction",))
    assert raw.tx == str(signed.signatures[0])
    _, args = Decoder(IDL, US).decode(raw.kind, raw.body)
    assert args == {"stake": 5, "accounts": {"player": str(key.pubkey())}}


@pytest.mark.parametrize("named", [{"version": "legacy"}, {"version": 1}, {}])
def test_the_version_that_a_node_names_or_leaves_out_changes_nothing(  # S18
    named: dict[str, Any],
) -> None:
    answer = tx(call(US, BET, PLAYER), logs=frame(US, line(tip(1))))
    del answer["version"]
    assert [e[2] for e in events(answer | named)] == [1]


def recorded(signature: str, program: str) -> list[Raw]:
    file = RECORDED / f"{signature}.json"
    if not file.is_file():
        pytest.skip(f"the recorded transactions are not at {RECORDED}")
    return candidates(json.loads(file.read_text()), program)


def interface(name: str) -> dict[str, Any]:
    idl: dict[str, Any] = json.loads((HERE / "fixtures" / f"{name}.json").read_text())
    return idl


def test_a_recorded_versioned_transaction_with_an_old_interface() -> None:
    program = "5QPEJ5zDsVou9FQS3KCauKswM3VwBEBu4dpL9xTqkWwN"
    raws = recorded(
        "46VP2T7zPwcFJzU3HDjCh5PWwxKP9LahgGbPQcsePXUwhFrFa2wHCEh4kDu4KCv18BtCw5RxauJt832DmbF4dUPt",
        program,
    )
    decoder = Decoder(interface("compression_old"), program)
    read = [decoder.decode(raw.kind, raw.body) for raw in raws]
    assert [raw.index for raw in raws] == [65538, 65539]
    assert [name for name, _ in read] == ["insertIntoIndexedArrays", "appendLeavesToMerkleTrees"]
    # The program logs the same numbers, so the log is the witness.
    (element,) = read[0][1]["elements"]  # type: ignore[misc]
    assert list(element)[:6] == [13, 234, 45, 26, 64, 162]  # type: ignore[has-type]
    leaves = read[1][1]["leaves"]
    assert [list(leaf)[:3] for leaf in leaves] == [[37, 50, 175], [11, 237, 8]]  # type: ignore[attr-defined]
    accounts = read[1][1]["accounts"]
    assert accounts["logWrapper"] == "noopb9bkMVfRPU8AsbpTUg8AQkHtKwMYZiFUjNRtMmV"  # type: ignore[index]


def test_a_recorded_legacy_transaction_with_a_new_interface() -> None:
    program = "compr6CUsB5m2jS4Y3831ztGSTnDpnKJTKS95d64XVq"
    raws = recorded(
        "2cBtegqLxQztcngNF4qWGZYEuGiwFvmSpak4dqNaGHHQRDBGuYg24ZSG54BpRaWS5Cr4v6AWLV42FWvEjQk2ESWy",
        program,
    )
    decoder = Decoder(interface("compression_new"), program)
    read = dict(decoder.decode(raw.kind, raw.body) for raw in raws)
    leaves = read["append_leaves_to_merkle_trees"]["leaves"]
    assert [leaf["tree"] for leaf in leaves] == [0, 1]  # type: ignore[attr-defined]
    nullifiers = read["insert_into_nullifier_queues"]
    assert len(nullifiers["nullifiers"]) == 1  # type: ignore[arg-type]
    assert nullifiers["accounts"]["fee_payer"] == "E2nqEj4hgmPLmEc9sT6AE956WGV7hdxtfwL1jiKHhqGJ"  # type: ignore[index]
    assert {raw.position for raw in raws} == {380876342}


def test_a_recorded_transaction_calls_us_four_times_three_deep() -> None:
    program = "compr6CUsB5m2jS4Y3831ztGSTnDpnKJTKS95d64XVq"
    raws = recorded(
        "fGp9ArtJBK7P4XHbd9ygU3mwbRubzzbh2Rs5sebx7VTdc8VvxjYor17HGVUHFCE2Y8mnorqK2fie6UJwVgzUJ3E",
        program,
    )
    decoder = Decoder(interface("compression_new"), program)
    read = [decoder.decode(raw.kind, raw.body) for raw in raws]
    assert [raw.index for raw in raws] == [65539, 65542, 65545, 65548]
    assert {name for name, _ in read} == {"insert_into_queues"}
    assert all(len(args["data"]) == 166 for _, args in read)  # type: ignore[arg-type]


def test_base58_keeps_every_byte() -> None:
    for data in (b"", b"\0", b"\0\0\1", bytes(range(256)), b"\xff" * 700):
        assert address.from_base58(address.to_base58(data)) == data
    assert address.from_base58(PLAYER) == bytes([9]) * 32


def test_addresses_are_checked() -> None:
    assert address.canonical(PLAYER) == PLAYER
    assert address.is_valid(PLAYER)
    for bad in ("", "0", PLAYER[:-1], PLAYER + "1", "l" * 32, "0x" + "00" * 20):
        assert not address.is_valid(bad)
