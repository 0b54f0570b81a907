/** Limbo: the player names a multiplier and wins it when the drawn one is at least as high. */

import { naming } from "./multiplier.ts";
import type { Game } from "./rules.ts";

const SPAN = 1_000_000_000n;
const LARGEST = 100_000_000n; // hundredths: 1,000,000.00

export const limbo: Game = {
  name: "limbo",
  draw: async (stream) => 1n + (await stream.below(SPAN)),
  terms: (choice, payTable) =>
    naming(choice, payTable, LARGEST, (drawn, share) => (share * SPAN) / (100n * drawn)),
};
