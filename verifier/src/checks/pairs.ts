/** Pairs, verified: from the commitment of a seed to every bet it served, step by step. */

import { hex, same, type Bytes } from "../bytes.ts";
import { Unread, type Facts } from "../facts.ts";
import { Unknown, type Draw } from "../games/rules.ts";
import * as proofs from "../proofs.ts";
import type { PairBet, PairProof } from "../proofs.ts";
import { compared, failed, judged, signed, unchecked, type Step } from "../steps.ts";
import { beaconStep, drandTime, numberStep } from "./chance.ts";
import { chainStep, commitmentStep, timeStep } from "./commitments.ts";
import { drawn, drawStep, readTerms } from "./terms.ts";

/** The steps of a pair; those about its bets name the first one that does not hold. */
export async function verifyPair(pair: PairProof, facts: Facts | null): Promise<Step[]> {
  const entry = await proofs.pairCommit(pair);
  const { program, commitment, activation } = pair;
  const { root, tx, position, time } = commitment;
  const of = { number: pair.number, kind: pair.beacon };
  const said = { program, table: null, root, schedule: null, tx, position, time, ...of };
  const committed = facts?.committed;
  const finalAt = committed && !(committed instanceof Unread) ? committed.finalAt : null;
  return [
    await commitmentStep(commitment, entry, pair.place, pair.places),
    chainStep(said, facts),
    pairTimeStep(pair, facts),
    numberStep(activation, pair.beacon, finalAt, facts),
    await beaconStep(activation, facts),
    await receiptsStep(pair, entry),
    ...(await betsSteps(pair)),
    pairRevealStep(pair, facts),
  ];
}

/** The seed was bound before the chance that is mixed in was known to anybody. */
function pairTimeStep({ activation, beacon, commitment }: PairProof, facts: Facts | null): Step {
  const name = "in time";
  const { kind, round } = activation;
  if (kind !== beacon) return failed(name, `final before a beacon of kind ${beacon}`, `${kind} ${round}`);
  if (kind === "drand") {
    if (round === 0n) return failed(name, "final before a round of drand", "round 0, which is none");
    return timeStep(commitment, drandTime(round), `round ${round} of drand`, facts);
  }
  const expected = `final before block ${round}`;
  const block = facts?.block ?? null;
  if (block === null) return unchecked(name, expected);
  if (block instanceof Unread) return unchecked(name, expected, block.reason);
  if (block.number !== round) return failed(name, expected, `block ${block.number}`);
  return timeStep(commitment, block.time, `block ${round}`, facts);
}

/** Every bet holds on to the one before it, and the first one to the commitment. */
async function receiptsStep(pair: PairProof, entry: Bytes): Promise<Step> {
  const name = "receipts";
  const expected = pair.count ? `nonces 0..${pair.count - 1n}` : "no bets";
  const first = pair.bets[0]?.nonce ?? 0n;
  let previous = first ? (pair.bets[0] as PairBet).previous : entry;
  let nonce = first;
  for (const bet of pair.bets) {
    const broken = unlike(bet, nonce, previous);
    if (broken) return failed(name, expected, broken);
    previous = await proofs.receipt(pair, bet);
    nonce++;
  }
  if (nonce > pair.count) return failed(name, expected, `nonce ${nonce - 1n}`);
  if (first === 0n && nonce === pair.count) return judged(name, expected, expected, true);
  const told = pair.bets.length ? `nonces ${first}..${nonce - 1n}` : "none";
  return unchecked(name, expected, `${told} hold, the others are not in this proof`);
}

function unlike(bet: PairBet, nonce: bigint, previous: Bytes): string | null {
  if (bet.nonce < nonce) return `nonce ${bet.nonce} came before`;
  if (bet.nonce > nonce) return `nonce ${nonce} is missing before ${bet.nonce}`;
  if (same(bet.previous, previous)) return null;
  return `nonce ${nonce} holds on to ${hex(bet.previous)}, not ${hex(previous)}`;
}

/** What is asked of every bet, in order: one step for all of them. */
async function betsSteps(pair: PairProof): Promise<Step[]> {
  const names = ["signature", "outcome", "draw", "terms", "payout"];
  const found = names.map((name) => unchecked(name, "a bet", "no bets in this proof"));
  for (const bet of pair.bets) {
    for (const [at, step] of (await betSteps(pair, bet)).entries()) {
      if (found[at]?.status === "failed") continue;
      const all = `${pair.bets.length} bets`;
      const broken = { ...step, found: `nonce ${bet.nonce}: ${step.found}` };
      found[at] = step.status === "ok" ? judged(step.name, all, all, true) : broken;
    }
  }
  return found;
}

async function betSteps(pair: PairProof, bet: PairBet): Promise<Step[]> {
  const outcome = await proofs.pairOutcome(pair, bet);
  return [
    signed("signature", await proofs.receipt(pair, bet), bet.signature, pair.signer),
    compared("outcome", hex(outcome), hex(bet.outcome)),
    await drawStep(bet.game, outcome, bet.draw),
    ...(await termsSteps(bet, outcome)),
  ];
}

async function termsSteps(bet: PairBet, outcome: Bytes): Promise<Step[]> {
  try {
    const terms = await readTerms(bet.game, bet.params, bet.payTable);
    const paid = terms.payout(bet.stake, (await drawn(bet.game, outcome)) as Draw);
    return [
      judged("terms", "a choice of a pay table", terms.says, true),
      compared("payout", `${paid}`, `${bet.payout}`),
    ];
  } catch (error) {
    if (!(error instanceof Unknown)) throw error;
    return [
      failed("terms", "a choice of a pay table", error.message),
      failed("payout", "what the terms say", `${bet.payout}`),
    ];
  }
}

function pairRevealStep(pair: PairProof, facts: Facts | null): Step {
  const expected = hex(pair.seed);
  if (facts === null) return unchecked("reveal", expected);
  const { revealed } = facts;
  if (revealed instanceof Unread) return unchecked("reveal", expected, revealed.reason);
  if (revealed === null) return unchecked("reveal", expected, "not revealed on chain yet");
  return compared("reveal", expected, hex(revealed.seed));
}
