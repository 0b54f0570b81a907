"""Commands are read exactly, and what is none gets a code of its own."""

from __future__ import annotations

import json

import pytest

from api.feed.protocol import BadCommand, Filters, Ping, Place, Subscribe, Unsubscribe, parse


def test_the_simple_form_works_as_it_stands() -> None:
    assert parse('{"type":"subscribe","channels":["bets"]}') == Subscribe(("bets",))
    assert parse('{"type":"unsubscribe","channels":["bets","bets"]}') == Unsubscribe(("bets",))
    assert parse('{"type":"ping"}') == Ping()


def test_filters_and_places_are_read() -> None:
    said = (
        '{"type":"subscribe","channels":["bets"],"filters":{"game":"range"},'
        '"since":{"bets":{"epoch":"e","seq":7}}}'
    )
    wanted = Subscribe(("bets",), Filters(game="range"), {"bets": Place("e", 7)})
    assert parse(said) == wanted


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"{}", "binary"),
        ("{", "not_json"),
        ("[]", "not_object"),
        ("{}", "unknown_type"),
        ('{"type":"subscribe"}', "no_channels"),
        ('{"type":"subscribe","channels":[]}', "no_channels"),
        ('{"type":"subscribe","channels":["chat"]}', "unknown_channel"),
        ('{"type":"subscribe","channels":[{}]}', "unknown_channel"),
        ('{"type":"subscribe","channels":["bets"],"filters":{"stake":"1"}}', "bad_filter"),
        ('{"type":"subscribe","channels":["bets"],"filters":{"game":""}}', "bad_filter"),
        ('{"type":"subscribe","channels":["bets"],"filters":{"game":1}}', "bad_filter"),
        ('{"type":"subscribe","channels":["bets"],"filters":{"player":null}}', "bad_filter"),
        ('{"type":"subscribe","channels":["bets"],"filters":{"network":"x"}}', "bad_filter"),
        ('{"type":"subscribe","channels":["bets"],"since":{"bets":7}}', "bad_since"),
        ('{"type":"subscribe","channels":["bets"],"since":{"bets":{"seq":-1}}}', "bad_since"),
    ],
)
def test_what_is_no_command_has_a_code(frame: str | bytes, code: str) -> None:
    with pytest.raises(BadCommand) as refused:
        parse(frame)
    assert refused.value.code == code


def test_a_filter_matches_all_it_does_not_name() -> None:
    about = ("demo", "range", "p", "eip155:1")
    assert Filters().match(*about)
    assert Filters(game="range").match(*about)
    assert Filters(player="p", network="eip155:1").match(*about)
    assert not Filters(game="range", player="q").match(*about)
    assert not Filters(player="p", network="eip155:8453").match(*about)


def wanting(player: str) -> str:
    said = {"type": "subscribe", "channels": ["bets"], "filters": {"player": player}}
    return json.dumps(said)


EVM = "0x52908400098527886e0f7030069857d2e4169ee7"
CHECKSUMMED = "0x52908400098527886E0F7030069857D2E4169EE7"
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
SOLANA, DEVNET = (
    "Vote111111111111111111111111111111111111111",
    "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
)


@pytest.mark.parametrize(
    ("player", "wanted"),
    [
        (EVM, Filters(player=EVM)),
        (CHECKSUMMED, Filters(player=EVM)),
        (CHECKSUMMED.replace("0x", "0X"), Filters(player=EVM)),
        (MIXED, Filters(player=MIXED.lower())),
        (f"eip155:8453:{CHECKSUMMED}", Filters(player=EVM, network="eip155:8453")),
        (SOLANA, Filters(player=SOLANA)),
        (f"{DEVNET}:{SOLANA}", Filters(player=SOLANA, network=DEVNET)),
    ],
)
def test_a_player_may_be_spelled_in_any_way(player: str, wanted: Filters) -> None:
    assert parse(wanting(player)) == Subscribe(("bets",), wanted)


@pytest.mark.parametrize(
    ("player", "said"),
    [
        ("ada", "'ada' is no Solana address"),
        ("0x123", "'0x123' is no EVM address"),
        (MIXED.replace("aA", "Aa"), "wrong checksum"),
        (f"eip155:8453:{SOLANA}", "is no EVM address"),
        (f"{DEVNET}:{EVM}", "is no Solana address"),
        (f"base:{EVM}", "'base' is no network"),
        (f"eip155:{EVM}", "'eip155' is no network"),
        (f":{EVM}", "'' is no network"),
    ],
)
def test_a_player_who_cannot_exist_is_refused_by_name(player: str, said: str) -> None:
    with pytest.raises(BadCommand, match=said) as refused:
        parse(wanting(player))
    assert refused.value.code == "bad_filter"
