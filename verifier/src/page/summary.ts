/** Summary: what a proof says it is about, before anything of it is believed. */

import { hex } from "../bytes.ts";
import { base58 } from "../chains/base58.ts";
import { belongs, closesAt, type PairProof, type Proof, type RoundProof } from "../proofs.ts";
import { shown } from "../checks/terms.ts";

export type Line = [name: string, value: string];

export function summary(proof: Proof): Line[] {
  const where: Line[] = [
    ["Chain", proof.chain],
    ["Contract", address(proof)],
  ];
  return [...where, ...(proof.of === "pair" ? ofPair(proof) : ofRound(proof))];
}

function ofRound(proof: RoundProof): Line[] {
  const { schedule, round, bet } = proof;
  const lines: Line[] = [
    ["Table and round", `${proof.table}, round ${round}`],
    ["Batch opens", moment(schedule.opens)],
    ["Betting closed", belongs(schedule, round) ? moment(closesAt(schedule, round)) : "not in this batch"],
    ["Result", shown(proof.draw)],
  ];
  if (!bet) return lines;
  return [
    ...lines,
    ["Bet", `number ${bet.position} of ${proof.bets.count}, ${hex(bet.betId)}`],
    ["Account", bet.account],
    ["Stake and payout", `${bet.stake} and ${bet.payout}, in the smallest unit of ${bet.asset}`],
  ];
}

function ofPair(pair: PairProof): Line[] {
  return [
    ["Account", pair.account],
    ["Epoch", `${pair.epoch}`],
    ["Commitment", `pairs ${pair.number}, place ${pair.place} of ${pair.places}, bound to ${pair.beacon}`],
    ["Your seed", `${hex(pair.clientSeed)} (${printable(pair.clientSeed)})`],
    ["Bets", `${pair.bets.length} in this proof, ${pair.count} by the house's count`],
  ];
}

function address({ chain, program }: Proof): string {
  return chain.startsWith("solana:") ? base58(program) : `0x${hex(program)}`;
}

/** Letters that look alike are not alike: whatever is not plain is left to its hex digits. */
function printable(bytes: Uint8Array): string {
  return bytes.every((byte) => byte >= 0x20 && byte < 0x7f)
    ? `“${new TextDecoder().decode(bytes)}”`
    : "not plain letters";
}

export function moment(seconds: bigint): string {
  const time = new Date(Number(seconds) * 1_000);
  return Number.isNaN(time.getTime())
    ? `${seconds}`
    : `${time.toISOString().replace("T", " ").slice(0, 19)} UTC (${seconds})`;
}
