/** The published vectors, part by part: every formula to the byte. Whole proofs are checked by the built page itself. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ascii, hex, join, number, u256, u64, unhex, type Bytes } from "../src/bytes.ts";
import { drandRound, drandTime } from "../src/checks/chance.ts";
import { shown } from "../src/checks/terms.ts";
import { GAMES } from "../src/games/index.ts";
import { Unknown } from "../src/games/rules.ts";
import { tagged } from "../src/hashes.ts";
import { climb, depth, proves } from "../src/merkle.ts";
import * as proofs from "../src/proofs.ts";
import { signerOf } from "../src/signatures.ts";
import { signed } from "../src/steps.ts";
import { Stream } from "../src/stream.ts";

type Case = Record<string, any>;
const VECTORS = JSON.parse(readFileSync("docs/fairness/vectors.json", "utf8")) as Record<string, Case[]>;

function cases(part: string): Case[] {
  const told = VECTORS[part];
  assert.ok(told && told.length > 0, `the vectors have ${part}`);
  return told;
}

/** Enough of a proof for the formulas of rounds and pairs, which look at nothing else. */
function roundOf(told: Case): proofs.RoundProof {
  const beacon = told["beacon"] ?? {};
  return {
    chain: told["chain"],
    program: unhex(told["program"]),
    table: told["table"],
    round: BigInt(told["round"]),
    seed: unhex(told["seed"] ?? ""),
    bets: {
      root: unhex(told["bets_root"] ?? ""),
      count: BigInt(told["leaves"]?.length ?? 0),
      liability: BigInt(told["liability"]),
      signature: new Uint8Array(0),
    },
    beacon: {
      kind: beacon.kind,
      chainHash: unhex(beacon.chain_hash ?? ""),
      round: BigInt(beacon.round ?? 0),
      randomness: unhex(beacon.randomness ?? ""),
      signature: new Uint8Array(0),
    },
  } as proofs.RoundProof;
}

/** What an outcome draws and pays in a game, under a pay table. */
async function played(told: Case, outcome: string): Promise<void> {
  const game = GAMES.get(told["game"]);
  assert.ok(game, told["game"]);
  const terms = game.terms(unhex(told["params"]).slice(32), unhex(told["pay_table"]));
  const draw = await game.draw(new Stream(unhex(outcome)));
  assert.equal(shown(draw), [told["draw"]].flat().join(" "));
  assert.equal(`${terms.payout(BigInt(told["stake"]), draw)}`, told["payout"]);
  if (told["most"]) assert.equal(`${terms.most(BigInt(told["stake"]))}`, told["most"]);
}

test("rounds are committed, signed and drawn to the byte", async () => {
  for (const told of cases("rounds")) {
    const round = roundOf(told);
    assert.equal(hex(await proofs.roundCommit(round)), told["commit"]);
    assert.equal(hex(await proofs.beaconHash(round.beacon)), told["beacon"].hash);
    assert.equal(hex(await proofs.roundOutcome(round)), told["outcome"]);
    if (told["play"]) await played(told["play"], told["outcome"]);
    const digest = await proofs.statement(round);
    assert.equal(hex(digest), told["digest"]);
    assert.equal(hex(signerOf(digest, unhex(told["signature"])) as Bytes), told["signer"]);
  }
});

test("a signature's twin with the high s is not the signer's", async () => {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  for (const told of cases("rounds")) {
    const [signature, signer] = [unhex(told["signature"]), unhex(told["signer"])];
    const high = u256(order - number(signature.subarray(32, 64)));
    const v = Uint8Array.of(55 - (signature[64] as number));
    const twin = join(signature.subarray(0, 32), high, v);
    const digest = unhex(told["digest"]);
    assert.equal(signed("signature", digest, signature, signer).status, "ok");
    assert.equal(signed("signature", digest, twin, signer).status, "failed");
    assert.equal(hex(signerOf(digest, twin) as Bytes), told["signer"]);
  }
});

test("leaves and receipts of bets are hashed to the byte", async () => {
  for (const told of cases("leaves")) {
    const bet = {
      position: BigInt(told["position"]),
      betId: unhex(told["bet_id"]),
      payee: unhex(told["payee"]),
      stake: BigInt(told["stake"]),
      liability: BigInt(told["liability"]),
      account: told["account"],
      asset: told["asset"],
      game: told["game"],
      params: unhex(told["params"]),
    } as proofs.RoundBet;
    const round = roundOf(told);
    const leaf = await proofs.betLeaf(round, bet);
    assert.equal(hex(leaf), told["leaf"]);
    const place = [ascii(round.chain), round.program, ascii(round.table), u64(round.round)];
    const receipt = await tagged("round-accept", ...place, u64(bet.position), leaf);
    assert.equal(hex(receipt), told["receipt"]);
    assert.equal(hex(signerOf(receipt, unhex(told["signature"])) as Bytes), told["signer"]);
  }
});

test("places of a tree are proved, and no other is", async () => {
  for (const told of cases("merkle")) {
    const [root, entry] = [unhex(told["root"]), unhex(told["commit"])];
    const [position, count] = [BigInt(told["position"]), BigInt(told["count"])];
    const proof = (told["proof"] as string[]).map(unhex);
    assert.equal(proof.length, depth(count));
    assert.equal(hex(await climb(entry, position, proof)), told["root"]);
    assert.ok(await proves(root, entry, position, count, proof));
    assert.ok(!(await proves(root, entry, position, count, [...proof, unhex("00".repeat(32))])));
    assert.ok(!(await proves(root, entry, position + (1n << BigInt(proof.length)), count, proof)));
    if (count > 1n) assert.ok(!(await proves(root, entry, position ^ 1n, count, proof)));
  }
});

test("rounds of drand follow from the moment of closing", () => {
  for (const told of cases("drand_rounds")) {
    assert.equal(`${drandRound(BigInt(told["closes"]))}`, told["round"]);
    assert.equal(`${drandTime(BigInt(told["round"]))}`, told["time"]);
  }
});

test("outcomes and receipts of pairs are hashed to the byte", async () => {
  for (const told of cases("pairs")) {
    const bet = {
      nonce: BigInt(told["nonce"]),
      asset: told["asset"],
      game: told["game"],
      params: unhex(told["params"]),
      stake: BigInt(told["stake"]),
      at: BigInt(told["at"]),
      previous: unhex(told["previous"]),
    } as proofs.PairBet;
    // The vectors name the hash of the activation beacon alone, so its part is put together here.
    const { chain, account } = told as unknown as Record<string, string>;
    const pair = { chain, account, epoch: BigInt(told["epoch"]), seed: unhex(told["seed"]) };
    assert.equal(hex(await proofs.pairCommit(pair as proofs.PairProof)), told["commit"]);
    const whole = { ...pair, clientSeed: unhex(told["client_seed"]) } as proofs.PairProof;
    const activation = unhex(told["activation"]);
    assert.equal(hex(await proofs.outcomeOf(whole, bet, activation)), told["outcome"]);
    await played(told["play"], told["outcome"]);
    const digest = await proofs.receiptOf(whole, bet, activation);
    assert.equal(hex(digest), told["receipt"]);
    assert.equal(hex(signerOf(digest, unhex(told["signature"])) as Bytes), told["signer"]);
  }
});

test("integers and orders come out of an outcome", async () => {
  for (const told of cases("below")) {
    const stream = new Stream(unhex(told["outcome"]));
    for (const value of told["values"]) assert.equal(`${await stream.below(BigInt(told["n"]))}`, value);
  }
  for (const told of cases("shuffles")) {
    const items = Array.from({ length: Number(told["size"]) }, (_, at) => String(at));
    const picked = await new Stream(unhex(told["outcome"])).pick(items, Number(told["count"]));
    assert.deepEqual(picked, told["picked"]);
  }
});

test("every game draws and pays as published at every edge, and refuses what it does not offer", async () => {
  for (const told of cases("games")) {
    if (!told["refused"]) {
      await played(told, told["outcome"]);
      continue;
    }
    const [params, payTable] = [unhex(told["params"]), unhex(told["pay_table"])];
    assert.throws(() => GAMES.get(told["game"])?.terms(params.slice(32), payTable), Unknown, JSON.stringify(told));
  }
  assert.equal(new Set(cases("games").map((told) => told["game"])).size, GAMES.size);
});

test("curves and multipliers reach the published points", () => {
  const stake = 10n ** 12n;
  for (const told of cases("points")) {
    const game = GAMES.get(told["game"]);
    assert.ok(game);
    const payTable = unhex(Number(told["edge_bp"]).toString(16).padStart(4, "0"));
    const point = BigInt(told["point"]);
    const wins = (target: bigint) =>
      game.terms(u64(target).slice(4), payTable).payout(stake, BigInt(told["draw"])) > 0n;
    if (point >= 101n) assert.ok(wins(point), JSON.stringify(told));
    else assert.ok(!wins(101n), JSON.stringify(told));
    const most = told["game"] === "crash" ? 1_000_000n : 100_000_000n;
    if (point >= 101n && point < most) assert.ok(!wins(point + 1n), JSON.stringify(told));
  }
});

test("the words of the research give its outcome", async () => {
  const told = cases("research")[0] as unknown as Record<string, string>;
  const seed = unhex(told["seed"] as string);
  const [chain, table] = ["solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "roulette"].map((text) =>
    new TextEncoder().encode(text),
  ) as [Bytes, Bytes];
  assert.equal(hex(await tagged("round-commit", chain, table, u64(7n), seed)), told["round_commit"]);
  const stream = new Stream(unhex(told["round_out"] as string));
  assert.equal(await stream.below(37n), 16n);
  assert.equal(number(Uint8Array.of(1, 0)), 256n);
});
