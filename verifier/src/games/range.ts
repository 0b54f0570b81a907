/** Range: the player names a run of faces and wins when the roll falls inside. */

import { number, type Bytes } from "../bytes.ts";
import { kept, one, PARTS, Unknown, type Game, type Terms } from "./rules.ts";

const FACES = 10_000n;
const WIDEST = 9_800n;

function terms(choice: Bytes, payTable: Bytes): Terms {
  const share = kept(payTable);
  if (choice.length !== 4) throw new Unknown(`a range has 4 bytes, not ${choice.length}`);
  const low = number(choice.subarray(0, 2));
  const high = number(choice.subarray(2));
  const width = high - low;
  if (width < 1n || high > FACES || width > WIDEST) {
    throw new Unknown(`a range holds 1..${WIDEST} of ${FACES} faces, unlike ${low} to ${high}`);
  }
  if (width * PARTS > FACES * share) {
    throw new Unknown(`${width} of ${FACES} faces would win less than their stake`);
  }
  const prize = (stake: bigint) => (stake * FACES * share) / (width * PARTS);
  return {
    says: `a roll of ${low}..${high - 1n}`,
    payout: (stake, draw) => (low <= one(draw) && one(draw) < high ? prize(stake) : 0n),
    most: prize,
  };
}

export const range: Game = { name: "range", draw: (stream) => stream.below(FACES), terms };
