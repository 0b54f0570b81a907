/** Terms: what a bet was bound to, out of its params and its pay table. */

import { ascii, hex, same, type Bytes } from "../bytes.ts";
import { GAMES } from "../games/index.ts";
import { Unknown, type Draw, type Terms } from "../games/rules.ts";
import { tagged } from "../hashes.ts";
import { compared, failed, type Step } from "../steps.ts";
import { Stream } from "../stream.ts";

const VERSION = 32;

/** Raises `Unknown` for terms that no game of this house has. */
export async function readTerms(game: string, params: Bytes, payTable: Bytes): Promise<Terms> {
  const room = GAMES.get(game);
  if (!room) throw new Unknown(`no game is called ${game}`);
  const terms = room.terms(params.slice(VERSION), payTable);
  const version = await tagged("pay-table", ascii(game), payTable);
  const bound = params.subarray(0, VERSION);
  if (same(version, bound)) return terms;
  throw new Unknown(`a pay table of the version ${hex(version)}, and the bet has ${hex(bound)}`);
}

/** What the game draws from an outcome; null for a game that does not exist. */
export async function drawn(game: string, outcome: Bytes): Promise<Draw | null> {
  return (await GAMES.get(game)?.draw(new Stream(outcome))) ?? null;
}

export function shown(draw: Draw): string {
  return typeof draw === "bigint" ? `${draw}` : draw.join(" ");
}

export async function drawStep(game: string, outcome: Bytes, draw: Draw): Promise<Step> {
  const result = await drawn(game, outcome);
  if (result === null) return failed("draw", `a game called ${game}`, shown(draw));
  if (Array.isArray(draw) !== Array.isArray(result)) {
    return failed("draw", shown(result), `${shown(draw)}, in another form`);
  }
  return compared("draw", shown(result), shown(draw));
}
