/** Commitments: that the seed was bound, on chain and for good, before anybody could bet on it. */

import { hex, type Bytes } from "../bytes.ts";
import { Unread, type Committed, type Facts } from "../facts.ts";
import { climb, proves } from "../merkle.ts";
import type { Commitment, Schedule } from "../proofs.ts";
import { failed, judged, unchecked, type Step } from "../steps.ts";

/** The seed's commitment stands at its place under the committed root. */
export async function commitmentStep(
  { root, proof }: Commitment,
  entry: Bytes,
  place: bigint,
  places: bigint,
): Promise<Step> {
  const inside = 0n <= place && place < places;
  const found = inside ? hex(await climb(entry, place, proof)) : "a place outside the batch";
  const held = inside && (await proves(root, entry, place, places, proof));
  return judged("commitment", hex(root), found, held);
}

/** What the proof says of its commitment, to be held against what the chain says. */
export type Said = Omit<Committed, "finalAt">;

/** The contract keeps this root, with all it is bound to, from where the proof says. */
export function chainStep(said: Said, facts: Facts | null): Step {
  const name = "on chain";
  const expected = described(said);
  if (facts === null) return unchecked(name, expected);
  const { committed } = facts;
  if (committed instanceof Unread) return unchecked(name, expected, committed.reason);
  if (committed === null) return failed(name, expected, "no such commitment");
  const pairs: [string, string, string][] = [
    ["contract", hex(said.program), hex(committed.program)],
    ["table", said.table ?? "none", committed.table ?? "none"],
    ["root", hex(said.root), hex(committed.root)],
    ["schedule", scheduled(said.schedule), scheduled(committed.schedule)],
    ["number", `${said.number ?? "none"}`, `${committed.number ?? "none"}`],
    ["beacon", said.kind ?? "none", committed.kind ?? "none"],
    ["transaction", said.tx, committed.tx],
    ["position", `${said.position}`, `${committed.position}`],
    ["time", `${said.time}`, `${committed.time}`],
  ];
  const other = pairs.filter(([, mine, theirs]) => mine !== theirs);
  if (!other.length) return judged(name, expected, expected, true);
  return failed(name, expected, other.map(([what, , theirs]) => `${what}: ${theirs}`).join("; "));
}

function described(said: Said): string {
  const table = said.table === null ? "" : ` at table ${said.table}`;
  const rounds = said.schedule === null ? "" : `, ${scheduled(said.schedule)}`;
  const pairs = said.number === null ? "" : `, as pairs ${said.number} bound to ${said.kind}`;
  const where = `transaction ${said.tx} at ${said.position}, ${said.time}`;
  return `root ${hex(said.root)} in contract ${hex(said.program)}${table}${rounds}${pairs}; ${where}`;
}

function scheduled(schedule: Schedule | null): string {
  if (schedule === null) return "none";
  const { first, count, opens, period, lead, revealWindow, kind, maxLiability, signer } = schedule;
  return (
    `rounds ${first}..${first + count - 1n}, open from ${opens} every ${period} s, ` +
    `closed ${lead} s before the next, revealed within ${revealWindow} s, beacon ${kind}, ` +
    `at most ${maxLiability} each, signed by ${hex(signer)}`
  );
}

/** It was committed, and final, before the moment it had to be. */
export function timeStep(
  commitment: Commitment,
  before: bigint,
  what: string,
  facts: Facts | null,
): Step {
  const name = "in time";
  const expected = `final before ${what} at ${before}`;
  const committed = facts?.committed ?? null;
  if (committed === null || committed instanceof Unread) {
    const said = `the proof says a block of ${commitment.time}`;
    if (commitment.time >= before) return failed(name, expected, said);
    const why = committed === null ? "only a node can tell" : committed.reason;
    return unchecked(name, expected, `${said}; ${why}`);
  }
  if (committed.finalAt === null) {
    return failed(name, expected, `in a block of ${committed.time}, and not final yet`);
  }
  const held = committed.finalAt < before;
  return judged(name, expected, `final at ${committed.finalAt}`, held);
}
