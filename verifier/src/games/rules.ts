/** Rules: what every game answers, and the pay table of those whose wins keep one edge. */

import { number, type Bytes } from "../bytes.ts";
import type { Stream } from "../stream.ts";

/** What a round or a bet draws: a number, or numbers in the order they were drawn. */
export type Draw = bigint | bigint[];

/** A choice under a pay table. Stakes and payouts are in the smallest unit of one asset. */
export interface Terms {
  says: string;
  /** What comes back, the stake included, rounded down; 0 for a loss. */
  payout(stake: bigint, draw: Draw): bigint;
  /** The largest payout that any draw can bring. */
  most(stake: bigint): bigint;
}

export interface Game {
  name: string;
  draw(stream: Stream): Promise<Draw>;
  /** Raises `Unknown` for what this game does not offer. */
  terms(choice: Bytes, payTable: Bytes): Terms;
}

/** Terms that no game of this house has. */
export class Unknown extends Error {}

export const PARTS = 10_000n;

/** What is left of 10,000 parts of a fair win, out of a pay table of two bytes. */
export function kept(payTable: Bytes): bigint {
  if (payTable.length !== 2) throw new Unknown(`an edge has 2 bytes, not ${payTable.length}`);
  const edge = number(payTable);
  if (edge >= PARTS) throw new Unknown(`an edge is below ${PARTS} basis points, not ${edge}`);
  return PARTS - edge;
}

export function one(draw: Draw): bigint {
  if (typeof draw !== "bigint") throw new TypeError("one number is drawn, not several");
  return draw;
}
