"""Commands are read exactly, and what is none gets a code of its own."""

from __future__ import annotations

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
        ('{"type":"subscribe","channels":["bets"],"since":{"bets":7}}', "bad_since"),
        ('{"type":"subscribe","channels":["bets"],"since":{"bets":{"seq":-1}}}', "bad_since"),
    ],
)
def test_what_is_no_command_has_a_code(frame: str | bytes, code: str) -> None:
    with pytest.raises(BadCommand) as refused:
        parse(frame)
    assert refused.value.code == code


def test_a_filter_matches_all_it_does_not_name() -> None:
    assert Filters().match("demo", "range", "p")
    assert Filters(game="range").match("demo", "range", "p")
    assert not Filters(game="range", player="q").match("demo", "range", "p")
