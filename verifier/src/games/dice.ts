/** Dice: the player names a face and wins when the roll is under it, or over it. */

import { number, type Bytes } from "../bytes.ts";
import { kept, one, PARTS, Unknown, type Game, type Terms } from "./rules.ts";

const FACES = 10_000n;

function terms(choice: Bytes, payTable: Bytes): Terms {
  const share = kept(payTable);
  if (choice.length !== 3 || (choice[0] as number) > 1) {
    throw new Unknown("a choice is 00 (under) or 01 (over) and a face in 2 bytes");
  }
  const over = choice[0] === 1;
  const face = number(choice.subarray(1));
  const winning = over ? FACES - 1n - face : face;
  if (face >= FACES || winning < 1n) {
    throw new Unknown(`a roll under 1..9999 or over 0..9998 can win, not ${face}`);
  }
  if (winning * PARTS > FACES * share) {
    throw new Unknown(`${winning} of ${FACES} faces would win less than their stake`);
  }
  const prize = (stake: bigint) => (stake * FACES * share) / (winning * PARTS);
  return {
    says: `a roll ${over ? "over" : "under"} ${face}`,
    payout: (stake, draw) => ((over ? one(draw) > face : one(draw) < face) ? prize(stake) : 0n),
    most: prize,
  };
}

export const dice: Game = { name: "dice", draw: (stream) => stream.below(FACES), terms };
