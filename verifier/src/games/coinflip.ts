/** Coinflip: heads or tails. */

import type { Bytes } from "../bytes.ts";
import { kept, one, PARTS, Unknown, type Game, type Terms } from "./rules.ts";

const SIDES = 2n;

function terms(choice: Bytes, payTable: Bytes): Terms {
  const share = kept(payTable);
  const side = choice[0];
  if (choice.length !== 1 || side === undefined || side > 1) {
    throw new Unknown("a side is 00 (heads) or 01 (tails)");
  }
  const prize = (stake: bigint) => (stake * SIDES * share) / PARTS;
  return {
    says: side === 0 ? "heads" : "tails",
    payout: (stake, draw) => (one(draw) === BigInt(side) ? prize(stake) : 0n),
    most: prize,
  };
}

export const coinflip: Game = { name: "coinflip", draw: (stream) => stream.below(SIDES), terms };
