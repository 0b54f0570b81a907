/** Games: one file each, and a line for it here. */

import { coinflip } from "./coinflip.ts";
import { crash } from "./crash.ts";
import { dice } from "./dice.ts";
import { limbo } from "./limbo.ts";
import { numbers } from "./numbers.ts";
import { range } from "./range.ts";
import type { Game } from "./rules.ts";

export const GAMES: ReadonlyMap<string, Game> = new Map(
  [numbers, dice, limbo, coinflip, crash, range].map((game) => [game.name, game]),
);
