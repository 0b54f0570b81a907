"""A bond on LiteSVM for the tests: rounds committed, bets signed for, seeds shown or kept back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coincurve import PrivateKey
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata

from contracts import vectors
from contracts.solana import build, deploy
from games.fairness import merkle
from games.fairness.pairs import Pair
from games.fairness.rounds import Round, RoundBet, SignedRoot, bets_root
from games.fairness.vectors import drawn
from tests.contracts.solana_runtime import CHAIN, SOL, Runtime

PERIOD, LEAD, REVEAL_WINDOW, CLAIM_WINDOW = 10, 1, 60, 600
TABLE, ACCOUNT = "numbers", "player:17"
INCINERATOR = Pubkey.from_string("1nc1nerator11111111111111111111111111111111")


class Bond(Runtime):
    """One chain with one bond, its owner, keeper and signer, a bettor and a witness."""

    def __init__(
        self,
        *,
        chain: bytes = CHAIN,
        program: Keypair | None = None,
        signer: PrivateKey | None = None,
        signatures: bool = True,
    ) -> None:
        self.keeper, self.bettor, self.witness = Keypair(), Keypair(), Keypair()
        people = (Keypair(), self.keeper, self.bettor, self.witness)
        super().__init__(build.BOND, *people, chain=chain, program=program, signatures=signatures)
        self.signer = signer or vectors.signer_key("bond")
        self.opens: dict[tuple[str, int], int] = {}

    def initialize(self, authority: Keypair | None = None, **changed: Any) -> TransactionMetadata:
        args = {
            "keeper": self.keeper.pubkey(),
            "signer": vectors.signer_of(self.signer),
            "claim_window": CLAIM_WINDOW,
            "chain": self.chain.decode(),
        }
        authority = authority or self.owner
        data = deploy.program_data(self.program.address)
        accounts = {"authority": authority.pubkey(), "program_data": data}
        return self.call("initialize", args | changed, accounts, authority)

    def open(self, *, bond: int = 100 * SOL) -> Bond:
        self.deploy()
        self.pass_time(1_000_000)
        self.initialize()
        self.fund(bond)
        return self

    def fund(self, amount: int) -> TransactionMetadata:
        return self.call("fund", {"amount": amount}, {"funder": self.owner.pubkey()}, self.owner)

    def own(self, verb: str, who: Keypair | None = None, **args: Any) -> TransactionMetadata:
        """A verb of the owner's."""
        who = who or self.owner
        return self.call(verb, args, {"owner": who.pubkey()}, who)

    def spot(self, number: int, table: str = TABLE) -> Round:
        return Round(self.chain, bytes(self.program.address), table.encode(), number)

    def seed(self, number: int, table: str = TABLE) -> bytes:
        return drawn("seed", table, number)

    def tree(self, first: int, count: int, table: str = TABLE) -> merkle.Tree:
        numbers = range(first, first + count)
        return merkle.Tree.over([self.spot(n, table).commit(self.seed(n, table)) for n in numbers])

    def commit(
        self,
        first: int = 0,
        count: int = 4,
        *,
        who: Keypair | None = None,
        accounts: dict[str, Pubkey] | None = None,
        **changed: Any,
    ) -> TransactionMetadata:
        who = who or self.keeper
        args: dict[str, Any] = {"table": TABLE, "first": first, "count": count, "kind": 1}
        args |= {"opens": self.now + 100, "period": PERIOD, "lead": LEAD}
        args |= {"reveal_window": REVEAL_WINDOW, "max_liability": SOL} | changed
        if "root" not in args:
            args["root"] = self.tree(first, count, args["table"]).root
        self.opens[args["table"], first] = args["opens"]
        return self.call("commit", args, {"keeper": who.pubkey(), **(accounts or {})}, who)

    def closes(self, number: int, first: int = 0) -> int:
        return self.opens[TABLE, first] + (number - first + 1) * PERIOD - LEAD

    def due(self, number: int, first: int = 0) -> int:
        return self.closes(number, first) + REVEAL_WINDOW

    def wait_until(self, time: int) -> None:
        self.pass_time(time - self.now)

    def bets(self, number: int, count: int = 3, liability: int = SOL // 10) -> list[RoundBet]:
        payee = bytes(self.bettor.pubkey())
        return [
            RoundBet(self.spot(number), at, drawn("bet", at), payee, 5_000, liability, drawn("d"))
            for at in range(count)
        ]

    def signed_root(self, bets: Sequence[RoundBet]) -> SignedRoot:
        root = bets_root([bet.leaf for bet in bets])
        return SignedRoot(bets[0].round, root, len(bets), sum(bet.liability for bet in bets))

    def sign(self, said: SignedRoot) -> bytes:
        return vectors.signed(self.signer, said.digest)

    def anchor(
        self, start: int, /, *said: SignedRoot, who: Keypair | None = None, **changed: Any
    ) -> TransactionMetadata:
        who = who or self.keeper
        args = {"table": TABLE, "first": 0, "start": start}
        args |= {"roots": [one.root for one in said], "counts": [one.count for one in said]}
        args |= {"liabilities": [one.liability for one in said]} | changed
        return self.call("anchor", args, {"keeper": who.pubkey()}, who)

    def empty(self, number: int) -> SignedRoot:
        return SignedRoot(self.spot(number), bytes(32), 0, 0)

    def reveal(self, number: int, count: int = 4, **changed: Any) -> TransactionMetadata:
        args = {"table": TABLE, "first": 0, "round": number, "seed": self.seed(number)}
        args |= {"proof": self.tree(0, count).proof(number)} | changed
        return self.call("reveal", args, {}, self.witness)

    def claim(
        self,
        bets: Sequence[RoundBet],
        position: int = 0,
        /,
        *,
        accounts: dict[str, Pubkey] | None = None,
        who: Keypair | None = None,
        **changed: Any,
    ) -> TransactionMetadata:
        said, bet, who = self.signed_root(bets), bets[position], who or self.witness
        tree = merkle.Tree.over([one.leaf for one in bets])
        args = {"table": TABLE, "first": 0, "round": said.round.number, "root": said.root}
        args |= {"count": said.count, "liability": said.liability, "signature": self.sign(said)}
        args |= {"position": position, "bet_id": bet.bet_id, "stake": bet.stake}
        args |= {"bet_liability": bet.liability, "details": bet.details}
        args |= {"proof": tree.proof(position)} | changed
        given = {"claimant": who.pubkey(), "payee": Pubkey(bet.payee)} | (accounts or {})
        return self.call("claim", args, given, who)

    def slash(
        self,
        one: SignedRoot,
        other: SignedRoot,
        *,
        accounts: dict[str, Pubkey] | None = None,
        **changed: Any,
    ) -> TransactionMetadata:
        args = {"table": TABLE, "first": 0, "round": one.round.number, "root": one.root}
        args |= {"count": one.count, "liability": one.liability, "signature": self.sign(one)}
        args |= {"other_root": other.root, "other_count": other.count}
        args |= {"other_liability": other.liability, "other_signature": self.sign(other)} | changed
        given = {"witness": self.witness.pubkey()} | (accounts or {})
        return self.call("slash", args, given, self.witness)

    def release(self, first: int = 0, **accounts: Pubkey) -> TransactionMetadata:
        given = {"payer": self.keeper.pubkey()} | accounts
        return self.call("release", {"table": TABLE, "first": first}, given, self.witness)

    def hidden(self, place: int) -> bytes:
        """The seed of the pair at a place, which is its epoch too."""
        return drawn("pair", place)

    def pair_tree(self, count: int) -> merkle.Tree:
        pairs = [Pair(self.chain, ACCOUNT.encode(), place) for place in range(count)]
        return merkle.Tree.over([pair.commit(self.hidden(pair.epoch)) for pair in pairs])

    def commit_pairs(
        self,
        number: int,
        *,
        who: Keypair | None = None,
        accounts: dict[str, Pubkey] | None = None,
        **changed: Any,
    ) -> TransactionMetadata:
        who = who or self.keeper
        args: dict[str, Any] = {"number": number, "count": 1, "kind": 1} | changed
        if "root" not in args:
            args["root"] = self.pair_tree(args["count"]).root
        return self.call("commit_pairs", args, {"keeper": who.pubkey(), **(accounts or {})}, who)

    def reveal_pair(
        self,
        place: int,
        count: int,
        /,
        *,
        accounts: dict[str, Pubkey] | None = None,
        **changed: Any,
    ) -> TransactionMetadata:
        args = {"number": 0, "place": place, "account": ACCOUNT, "epoch": place} | changed
        args = {"seed": self.hidden(place)} | args
        if "proof" not in args:
            args["proof"] = self.pair_tree(count).proof(place)
        return self.call("reveal_pair", args, accounts or {}, self.witness)

    @property
    def address(self) -> Pubkey:
        return self.program.derive(b"bond")

    def batch(self, first: int = 0, table: str = TABLE) -> Pubkey:
        return self.program.derive(b"batch", table.encode(), first.to_bytes(8, "little"))

    def pairs(self, number: int) -> Pubkey:
        return self.program.derive(b"pairs", number.to_bytes(8, "little"))

    @property
    def locked(self) -> int:
        return self.read(self.address, "Bond", "locked")

    @property
    def free(self) -> int:
        rent = self.svm.minimum_balance_for_rent_exemption(176)
        return self.balance(self.address) - rent - self.locked
