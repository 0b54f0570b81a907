"""The shared vectors are what the arithmetic says today, and reach what they are meant to reach."""

from __future__ import annotations

from typing import Any, cast

from games.fairness import vectors


def test_the_committed_vectors_are_what_the_arithmetic_says() -> None:
    assert vectors.FILE.read_text() == vectors.text()


def test_the_vectors_reach_both_chains_wins_losses_and_rejected_words() -> None:
    made = cast(dict[str, list[dict[str, Any]]], vectors.vectors())
    assert {case["chain"] for case in made["bets"]} == {
        vectors.EVM.decode(),
        vectors.SOLANA.decode(),
    }
    assert {case["payout"] == "0" for case in made["bets"]} == {True, False}
    assert {case["first_word_rejected"] for case in made["stream"]} == {True, False}
    assert max(int(case["stake"]) for case in made["bets"]) >= 2**64
    assert all(int(case["stake"]) > 0 for case in made["bets"])
    assert [case["count"] for case in made["merkle"]] == [1, 2, 3, 5, 8, 1_024]
    assert len(made["bets"]) >= 40
