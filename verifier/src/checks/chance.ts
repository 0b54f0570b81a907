/** Chance: that the beacon is the one the formula names, and that its makers made it. */

import { ascii, hex, same } from "../bytes.ts";
import { Unread, type Facts } from "../facts.ts";
import { sha256 } from "../hashes.ts";
import type { Beacon, Kind } from "../proofs.ts";
import { QUICKNET, quicknetSigned } from "../signatures.ts";
import { compared, failed, judged, unchecked, type Step } from "../steps.ts";

const AFTER_CLOSE = 2n; // seconds that lie at least between the last bet and the beacon
const NOBODY = "chance of nobody: the house knew the outcome while bets were open";

/** When a round of quicknet is due, in unix seconds; its first round has the number 1. */
export function drandTime(round: bigint): bigint {
  return QUICKNET.genesis + (round - 1n) * QUICKNET.period;
}

/** The first round of quicknet strictly later than two seconds after a moment. */
export function drandRound(after: bigint): bigint {
  return (after + AFTER_CLOSE - QUICKNET.genesis) / QUICKNET.period + 2n;
}

/** The beacon is the first one later than two seconds after a moment; null when that is unknown. */
export function numberStep(
  beacon: Beacon,
  kind: Kind,
  after: bigint | null,
  facts: Facts | null,
): Step {
  const name = "beacon round";
  const found = `${beacon.kind} ${beacon.round}`;
  if (beacon.kind !== kind) return failed(name, `a beacon of kind ${kind}`, found);
  if (kind === "none") return failed(name, "drand or block", NOBODY);
  if (kind === "block") return blockNumberStep(beacon, after, facts);
  if (after === null) return unchecked(name, "the first round after the commitment was final");
  if (after + AFTER_CLOSE < QUICKNET.genesis) {
    return failed(name, "a time of quicknet", `${after}, before it began`);
  }
  return compared(name, `drand ${drandRound(after)}`, found);
}

function blockNumberStep(beacon: Beacon, after: bigint | null, facts: Facts | null): Step {
  const name = "beacon round";
  const moment = after === null ? null : after + AFTER_CLOSE;
  const expected = `the first block later than ${moment ?? "the round"}`;
  const block = facts?.block ?? null;
  if (moment === null || block === null) return unchecked(name, expected);
  if (block instanceof Unread) return unchecked(name, expected, block.reason);
  const found = `block ${block.number} of ${block.time}, after one of ${block.parentTime}`;
  if (beacon.round !== block.number) return failed(name, expected, `${found}; not ${beacon.round}`);
  return judged(name, expected, found, block.parentTime <= moment && moment < block.time);
}

/** The beacon's randomness is what its makers signed, or what its chain has. */
export async function beaconStep(beacon: Beacon, facts: Facts | null): Promise<Step> {
  if (beacon.kind === "drand") return drandStep(beacon);
  if (beacon.kind === "none") return failed("beacon", "drand or block", NOBODY);
  const block = facts?.block ?? null;
  if (block === null) return unchecked("beacon", hex(beacon.randomness));
  if (block instanceof Unread) return unchecked("beacon", hex(beacon.randomness), block.reason);
  const chain = await sha256(ascii(block.chain));
  const held = same(block.hash, beacon.randomness) && same(chain, beacon.chainHash);
  const found = `${hex(beacon.randomness)} of the chain ${hex(beacon.chainHash)}`;
  return judged("beacon", `${hex(block.hash)} of ${block.chain}, ${hex(chain)}`, found, held);
}

async function drandStep(beacon: Beacon): Promise<Step> {
  const { chainHash, randomness, signature, round } = beacon;
  const name = "beacon";
  if (!same(chainHash, QUICKNET.chainHash)) {
    return failed(name, `quicknet ${hex(QUICKNET.chainHash)}`, hex(chainHash));
  }
  const hash = await sha256(signature);
  if (!same(hash, randomness)) return failed(name, hex(hash), hex(randomness));
  const held = await quicknetSigned(round, signature);
  const found = `${held ? "" : "not its signature: "}${hex(signature)}`;
  return judged(name, `quicknet's signature of round ${round}`, found, held);
}
