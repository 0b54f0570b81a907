/** Facts: what the verifier has read from the chains by itself, never from the proof. */

import type { Bytes } from "./bytes.ts";
import { BOUND, CHAIN, readAddress, readSchedule, TABLE, TX, type Bound, type Schedule } from "./proofs.ts";
import { Fields, text, whole, type Read } from "./reading.ts";

/** Something the node could not tell, and why; what the chain does not have is null instead. */
export class Unread {
  constructor(readonly reason: string) {}
}

/** A commitment as the contract keeps it: of rounds of a table, or of pairs under a number. */
export interface Committed {
  program: Bytes;
  table: string | null;
  root: Bytes;
  schedule: Schedule | null;
  tx: string;
  position: bigint;
  time: bigint;
  /** When it could no longer be undone, by the chain's rule; null while it can. */
  finalAt: bigint | null;
  /** That of a commitment of pairs, and the kind of beacon it binds; null for rounds. */
  number: bigint | null;
  kind: Bound | null;
}

/** What is fixed for a round's bets: their root, or the digest of root, count and liability. */
export type Anchored = { root: Bytes } | { statement: Bytes };

export interface Revealed {
  seed: Bytes;
  time: bigint;
}

/** The block of a beacon of kind `block`. */
export interface Block {
  chain: string;
  number: bigint;
  hash: Bytes;
  time: bigint;
  parentTime: bigint;
}

export interface Facts {
  chain: string;
  committed: Committed | Unread | null;
  anchored: Anchored | Unread | null;
  revealed: Revealed | Unread | null;
  block: Block | Unread | null;
}

/** Facts as docs/fairness/proof.md writes them. Raises `Malformed`, and nothing else. */
export function readFacts(value: unknown): Facts {
  const fields = new Fields(value, "facts", ["chain", "committed", "anchored", "revealed", "block"]);
  const chain = fields.text("chain", CHAIN);
  return {
    chain,
    committed: fields.maybe("committed", readCommitted(chain)),
    anchored: fields.maybe("anchored", (one, path) => {
      const anchored = new Fields(one, path, ["root", "time"]);
      anchored.number("time");
      return { root: anchored.hash("root") };
    }),
    revealed: fields.maybe("revealed", (one, path) => {
      const revealed = new Fields(one, path, ["seed", "time"]);
      return { seed: revealed.hash("seed"), time: revealed.number("time") };
    }),
    block: fields.maybe("block", readBlock),
  };
}

function readCommitted(chain: string): Read<Committed> {
  const names = ["program", "table", "root", "schedule", "tx", "position", "time", "final_at"];
  return (value, path) => {
    const fields = new Fields(value, path, [...names, "number", "kind"]);
    return {
      program: readAddress(fields, chain),
      table: fields.maybe("table", text(TABLE)),
      root: fields.hash("root"),
      schedule: fields.maybe("schedule", readSchedule),
      tx: fields.text("tx", TX),
      position: fields.number("position"),
      time: fields.number("time"),
      finalAt: fields.maybe("final_at", whole(64)),
      number: fields.maybe("number", whole(64)),
      kind: fields.maybe("kind", text(BOUND)) as Bound | null,
    };
  };
}

function readBlock(value: unknown, path: string): Block {
  const fields = new Fields(value, path, ["chain", "number", "hash", "time", "parent_time"]);
  return {
    chain: fields.text("chain", CHAIN),
    number: fields.number("number"),
    hash: fields.hash("hash"),
    time: fields.number("time"),
    parentTime: fields.number("parent_time"),
  };
}
