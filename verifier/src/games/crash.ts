/** Crash: a curve rises until it breaks; the player names beforehand where to leave it. */

import { naming } from "./multiplier.ts";
import type { Game } from "./rules.ts";

const SPAN = 1n << 52n;
const LARGEST = 1_000_000n; // hundredths: 10,000.00

export const crash: Game = {
  name: "crash",
  draw: (stream) => stream.below(SPAN),
  terms: (choice, payTable) =>
    naming(choice, payTable, LARGEST, (drawn, share) => (share * SPAN) / (100n * (SPAN - drawn))),
};
