/** Rounds, verified: from the commitment of a seed to the payout of a bet, step by step. */

import { hex, same, zero, type Bytes } from "../bytes.ts";
import { Unread, type Facts } from "../facts.ts";
import { Unknown, type Draw, type Terms } from "../games/rules.ts";
import { climb, proves } from "../merkle.ts";
import * as proofs from "../proofs.ts";
import type { RoundBet, RoundProof } from "../proofs.ts";
import { compared, failed, judged, signed, unchecked, type Step } from "../steps.ts";
import { beaconStep, numberStep } from "./chance.ts";
import { chainStep, commitmentStep, timeStep } from "./commitments.ts";
import { drawn, drawStep, readTerms } from "./terms.ts";

/** The steps of a round, and those of its bet behind them if the proof has one. */
export async function verifyRound(proof: RoundProof, facts: Facts | null): Promise<Step[]> {
  const { schedule, commitment, round, program, table } = proof;
  const closes = proofs.belongs(schedule, round) ? proofs.closesAt(schedule, round) : null;
  const entry = await proofs.roundCommit(proof);
  const outcome = await proofs.roundOutcome(proof);
  const { root, tx, position, time } = commitment;
  return [
    scheduleStep(proof),
    await commitmentStep(commitment, entry, round - schedule.first, schedule.count),
    chainStep({ program, table, root, schedule, tx, position, time, number: null, kind: null }, facts),
    timeStep(commitment, schedule.opens, "the batch opens", facts),
    ...(await betsSteps(proof)),
    await anchorStep(proof, facts),
    numberStep(proof.beacon, schedule.kind, closes, facts),
    await beaconStep(proof.beacon, facts),
    compared("outcome", hex(outcome), hex(proof.outcome)),
    await drawStep(proofs.gameOf(table), outcome, proof.draw),
    revealStep(proof, facts),
    ...(proof.bet ? await betSteps(proof, proof.bet, outcome) : []),
  ];
}

function scheduleStep({ schedule, round }: RoundProof): Step {
  const last = schedule.first + schedule.count - 1n;
  const held = proofs.belongs(schedule, round);
  return judged("schedule", `a round of ${schedule.first}..${last}`, `round ${round}`, held);
}

/** The bets are told without contradiction, within the limit, and signed as they are told. */
async function betsSteps(proof: RoundProof): Promise<Step[]> {
  const { bets, schedule } = proof;
  const expected = `a liability of at most ${schedule.maxLiability}`;
  const refused = contradiction(bets);
  if (refused) {
    const signer = `0x${hex(schedule.signer)}`;
    return [
      failed("bets", expected, refused),
      failed("signature", signer, "nothing that can be signed"),
    ];
  }
  const found = `${bets.count} bets, ${bets.liability}`;
  return [
    judged("bets", expected, found, bets.liability <= schedule.maxLiability),
    signed("signature", await proofs.statement(proof), bets.signature, schedule.signer),
  ];
}

function contradiction({ root, count, liability }: proofs.Bets): string | null {
  if ((count === 0n) !== zero(root)) return "a round without bets, and no other, has a root of zeros";
  if (count === 0n && liability) return "a round without bets has no liability";
  return null;
}

async function anchorStep(proof: RoundProof, facts: Facts | null): Promise<Step> {
  const name = "anchor";
  const expected = hex(proof.bets.root);
  if (facts === null) return unchecked(name, expected);
  const { anchored } = facts;
  if (anchored instanceof Unread) return unchecked(name, expected, anchored.reason);
  if (anchored === null) return unchecked(name, expected, "not anchored yet");
  if ("root" in anchored) return compared(name, expected, hex(anchored.root));
  const said = await proofs.statement(proof);
  const told = `${expected}, count and liability, as the digest ${hex(said)}`;
  return judged(name, told, `the digest ${hex(anchored.statement)}`, same(said, anchored.statement));
}

/**
 * The contract was shown this seed in time; until then nobody is known to have shown it.
 * From the second of its deadline on, it takes no seed any more, but claims.
 */
function revealStep(proof: RoundProof, facts: Facts | null): Step {
  const name = "reveal";
  if (facts === null) return unchecked(name, hex(proof.seed));
  const { revealed } = facts;
  if (revealed instanceof Unread) return unchecked(name, hex(proof.seed), revealed.reason);
  if (revealed === null) return unchecked(name, hex(proof.seed), "not revealed on chain yet");
  const by = proofs.revealBy(proof.schedule, proof.round);
  const held = same(revealed.seed, proof.seed) && revealed.time < by;
  return judged(name, `${hex(proof.seed)} before ${by}`, `${hex(revealed.seed)} at ${revealed.time}`, held);
}

/** The bet is among those signed, its terms can be read, and it was paid by them. */
async function betSteps(proof: RoundProof, bet: RoundBet, outcome: Bytes): Promise<Step[]> {
  const leaf = await leafStep(proof, bet);
  try {
    const terms = await readTerms(bet.game, bet.params, bet.payTable);
    const draw = (await drawn(bet.game, outcome)) as Draw;
    const paid = terms.payout(bet.stake, draw);
    return [leaf, termsStep(proof, bet, terms), compared("payout", `${paid}`, `${bet.payout}`)];
  } catch (error) {
    if (!(error instanceof Unknown)) throw error;
    return [
      leaf,
      failed("terms", "a choice of a pay table", error.message),
      failed("payout", "what the terms say", `${bet.payout}`),
    ];
  }
}

async function leafStep(proof: RoundProof, bet: RoundBet): Promise<Step> {
  const { root, count } = proof.bets;
  const leaf = await proofs.betLeaf(proof, bet);
  const inside = bet.position < count;
  const found = inside ? hex(await climb(leaf, bet.position, bet.proof)) : "a position beyond the bets";
  return judged("bet", hex(root), found, await proves(root, leaf, bet.position, count, bet.proof));
}

/** The choice is one of the table's game, and the bond stands for the most it can win. */
function termsStep(proof: RoundProof, bet: RoundBet, terms: Terms): Step {
  const game = proofs.gameOf(proof.table);
  if (bet.game !== game) return failed("terms", `a bet on ${game}`, `one on ${bet.game}`);
  const gain = terms.most(bet.stake) - bet.stake;
  const due = bet.asset.startsWith(`${proof.chain}/slip44:`) && gain > 0n ? gain : 0n;
  const most = proof.bets.liability;
  const held = due <= bet.liability && bet.liability <= most;
  const expected = `${terms.says}, a liability of ${due}..${most}`;
  return judged("terms", expected, `a liability of ${bet.liability}`, held);
}
