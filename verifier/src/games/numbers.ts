/** Numbers: twenty of eighty are drawn, and the player has marked one to ten of them. */

import { number, type Bytes } from "../bytes.ts";
import { PARTS, Unknown, type Draw, type Game, type Terms } from "./rules.ts";

const BALLS = Array.from({ length: 80 }, (_, at) => BigInt(at + 1));
const DRAWN = 20;
const MOST_SPOTS = 10;
const ENTRY = 8;
const ROWS = Array.from({ length: MOST_SPOTS }, (_, at) => at + 2); // 0 hits to all of 1..10 spots
const SIZE = ROWS.reduce((sum, row) => sum + row, 0) * ENTRY;

function marked(choice: Bytes): bigint[] {
  const spots = Array.from(choice, BigInt);
  if (spots.length < 1 || spots.length > MOST_SPOTS) {
    throw new Unknown(`1..${MOST_SPOTS} numbers are marked, not ${spots.length}`);
  }
  const ascending = spots.every((spot, at) => at === 0 || spot > (spots[at - 1] as bigint));
  if (!ascending || spots.some((spot) => spot < 1n || spot > 80n)) {
    throw new Unknown(`marked numbers are of 1..80 and ascend, unlike ${spots.join(" ")}`);
  }
  return spots;
}

/** Multipliers in basis points of the stake, a row for each number of spots. */
function rows(payTable: Bytes): bigint[][] {
  if (payTable.length !== SIZE) {
    throw new Unknown(`a pay table has ${SIZE} bytes, not ${payTable.length}`);
  }
  let at = 0;
  const entry = () => number(payTable.subarray(at, (at += ENTRY)));
  const read = ROWS.map((length) => Array.from({ length }, entry));
  if (read.flat().every((multiplier) => multiplier === 0n)) {
    throw new Unknown("a pay table offers something");
  }
  return read;
}

function terms(choice: Bytes, payTable: Bytes): Terms {
  const spots = marked(choice);
  const row = rows(payTable)[spots.length - 1] as bigint[];
  if (row.every((multiplier) => multiplier === 0n)) {
    throw new Unknown(`this pay table has nothing for ${spots.length} spots`);
  }
  const best = row.reduce((most, multiplier) => (multiplier > most ? multiplier : most));
  return {
    says: `the numbers ${spots.join(" ")}`,
    payout(stake: bigint, draw: Draw): bigint {
      const hits = spots.filter((spot) => (draw as bigint[]).includes(spot)).length;
      return (stake * (row[hits] as bigint)) / PARTS;
    },
    most: (stake) => (stake * best) / PARTS,
  };
}

export const numbers: Game = { name: "numbers", draw: (stream) => stream.pick(BALLS, DRAWN), terms };
