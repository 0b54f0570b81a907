/** Multiplier: the terms of games in which the player names one, and wins it if it is reached. */

import { number, type Bytes } from "../bytes.ts";
import { kept, one, Unknown, type Terms } from "./rules.ts";

const LEAST = 101n; // hundredths

/** `point` is what a draw reaches, in hundredths, under what is kept of 10,000 parts. */
export function naming(
  choice: Bytes,
  payTable: Bytes,
  largest: bigint,
  point: (drawn: bigint, share: bigint) => bigint,
): Terms {
  const share = kept(payTable);
  if (choice.length !== 4) throw new Unknown(`a target has 4 bytes, not ${choice.length}`);
  const target = number(choice);
  if (target < LEAST || target > largest) {
    throw new Unknown(`a target is ${LEAST}..${largest} hundredths, not ${target}`);
  }
  const most = (stake: bigint) => (stake * target) / 100n;
  const reached = (drawn: bigint) => {
    const exact = point(drawn, share);
    return exact > largest ? largest : exact < 100n ? 100n : exact;
  };
  return {
    says: `at least ${target / 100n}.${String(target % 100n).padStart(2, "0")} times the stake`,
    payout: (stake, draw) => (reached(one(draw)) >= target ? most(stake) : 0n),
    most,
  };
}
