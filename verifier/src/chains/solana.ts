/** Solana: what the bond's program keeps and said, read from any node by the batch's own address. */

import { ascii, number, same, u64, zero, type Bytes } from "../bytes.ts";
import { Unread, type Anchored, type Committed, type Facts, type Revealed } from "../facts.ts";
import { sha256 } from "../hashes.ts";
import {
  belongs,
  closesAt,
  revealBy,
  type Bound,
  type PairProof,
  type RoundProof,
} from "../proofs.ts";
import { base58, unbase58 } from "./base58.ts";
import { derived } from "./derived.ts";
import { NodeError, unclear, type Node } from "./node.ts";

const FINALIZED = { commitment: "finalized" };
const PAGE = 1_000;
const MOST_PAGES = 20;
const OLDEST = 3; // somebody may send lamports to the address before the batch is made there
const AT_ONCE = 6;
const MOST_TXS = 600;
const SLOTS_TO_FINAL = 32n; // docs.anza.xyz/consensus/commitments: 31 and more blocks on top
const SLOTS_LOOKED_AT = 64n;
const CLOCKS_DIFFER_S = 60n; // a block's time is an estimate, the program's clock another
// What Anchor's emit_cpi! puts before an event that a program says by calling itself.
const SAID = Uint8Array.of(228, 69, 165, 46, 81, 203, 154, 29);
const KINDS: Readonly<Record<number, Bound>> = { 1: "drand", 2: "block" };
// Where the digests of rounds begin in the account of a batch: contracts/solana/src/tables.h.
const STATEMENTS = 240;

interface Listed {
  tx: string;
  slot: bigint;
  time: bigint;
}

/** What the chain has of a round. Raises `NodeError` for a node that does not even name its chain. */
export async function readSolana(node: Node, proof: RoundProof): Promise<Facts> {
  const chain = await chainOf(node);
  const none: Facts = { chain, committed: null, anchored: null, revealed: null, block: null };
  if (chain !== proof.chain) return none;
  const listed = await unread(history(node, await batchAddress(proof)));
  if (listed instanceof Unread) {
    return { ...none, committed: listed, anchored: listed, revealed: listed };
  }
  const said = await unread(roundSaid(node, proof, listed));
  return {
    ...none,
    committed: await unread(committed(node, proof, listed)),
    anchored: said instanceof Unread ? said : said.anchored,
    revealed: said instanceof Unread ? said : said.revealed,
  };
}

/** What the chain has of a pair. Raises `NodeError` for a node that does not even name its chain. */
export async function readSolanaPair(node: Node, pair: PairProof): Promise<Facts> {
  const chain = await chainOf(node);
  const none: Facts = { chain, committed: null, anchored: null, revealed: null, block: null };
  if (chain !== pair.chain) return none;
  const address = await derived(pair.program, ascii("pairs"), u64(pair.number).reverse());
  const listed = await unread(history(node, address));
  if (listed instanceof Unread) return { ...none, committed: listed, revealed: listed };
  return {
    ...none,
    committed: await unread(pairsCommitted(node, pair, listed)),
    revealed: await unread(pairRevealed(node, pair, listed)),
  };
}

/** The commitment, if it is in the transaction that the proof names. */
async function pairsCommitted(
  node: Node,
  pair: PairProof,
  listed: Listed[],
): Promise<Committed | null> {
  const named = listed.find(({ tx }) => tx === pair.commitment.tx);
  if (!named) return null;
  const { program, number } = pair;
  const { tx, slot: position, time } = named;
  for (const event of await heard(node, program, named)) {
    const reader = await Reader.of(event, "PairsCommitted");
    if (!reader || reader.number(8) !== number) continue;
    const root = reader.bytes(32);
    reader.number(2);
    const kind = KINDS[Number(reader.number(1))] ?? null;
    const said = { program, table: null, root, schedule: null, number, kind };
    return { ...said, tx, position, time, finalAt: await finalAt(node, position) };
  }
  return null;
}

/** The seed that the program was shown; the newest transactions are most likely to show it. */
async function pairRevealed(
  node: Node,
  pair: PairProof,
  listed: Listed[],
): Promise<Revealed | null> {
  if (listed.length > MOST_TXS) throw new NodeError("too many transactions touched these pairs");
  const about = [...listed].reverse();
  for (let at = 0; at < about.length; at += AT_ONCE) {
    const some = about.slice(at, at + AT_ONCE);
    const told = await Promise.all(some.map((one) => heard(node, pair.program, one)));
    for (const [which, events] of told.entries()) {
      const time = (some[which] as Listed).time;
      for (const event of events) {
        const reader = await Reader.of(event, "PairRevealed");
        if (!reader || reader.number(8) !== pair.number || reader.number(2) !== pair.place) continue;
        reader.text();
        reader.number(8);
        return { seed: reader.bytes(32), time };
      }
    }
  }
  return null;
}

export async function chainOf(node: Node): Promise<string> {
  const genesis = await node.ask("getGenesisHash", []);
  if (typeof genesis !== "string") throw unclear("getGenesisHash");
  return `solana:${genesis.slice(0, 32)}`;
}

async function unread<T>(asked: Promise<T>): Promise<T | Unread> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof NodeError) return new Unread(error.message);
    throw error;
  }
}

/** The final transactions that touched a batch, the oldest one first: it made the batch. */
async function history(node: Node, batch: Bytes): Promise<Listed[]> {
  const method = "getSignaturesForAddress";
  const address = base58(batch);
  const found: Listed[] = [];
  for (let page = 0; page < MOST_PAGES; page++) {
    const before = found.length ? { before: found[found.length - 1]?.tx } : {};
    const answer = await node.ask(method, [address, { ...FINALIZED, limit: PAGE, ...before }]);
    if (!Array.isArray(answer)) throw unclear(method);
    for (const entry of answer as Record<string, unknown>[]) {
      const { signature, slot, blockTime, err } = entry;
      if (typeof signature !== "string" || typeof slot !== "number") throw unclear(method);
      if (err !== null) continue;
      found.push({ tx: signature, slot: BigInt(slot), time: BigInt(Number(blockTime ?? 0)) });
    }
    if (answer.length < PAGE) return found.reverse();
  }
  throw new NodeError("too many transactions touched this batch to look at");
}

function batchAddress({ program, table, schedule }: RoundProof): Promise<Bytes> {
  return derived(program, ascii("batch"), ascii(table), u64(schedule.first).reverse());
}

async function committed(
  node: Node,
  proof: RoundProof,
  listed: Listed[],
): Promise<Committed | null> {
  for (const one of listed.slice(0, OLDEST)) {
    const { tx, slot: position, time } = one;
    for (const event of await heard(node, proof.program, one)) {
      const read = await readCommitted(event, proof);
      if (!read) continue;
      const none = { number: null, kind: null };
      return { ...read, tx, position, time, finalAt: await finalAt(node, position), ...none };
    }
  }
  return null;
}

type Kept = Pick<Committed, "program" | "table" | "root" | "schedule">;

async function readCommitted(event: Bytes, proof: RoundProof): Promise<Kept | null> {
  const reader = await Reader.of(event, "RoundsCommitted");
  if (!reader) return null;
  const [table, first] = [reader.text(), reader.number(8)];
  if (table !== proof.table || first !== proof.schedule.first) return null;
  const count = reader.number(4);
  const kind = KINDS[Number(reader.number(1))] ?? "none";
  const root = reader.bytes(32);
  const opens = reader.number(8);
  const [period, lead, revealWindow] = [reader.number(4), reader.number(4), reader.number(4)];
  const maxLiability = reader.number(8);
  const signer = reader.bytes(20);
  const times = { first, count, opens, period, lead, revealWindow };
  return { program: proof.program, table, root, schedule: { ...times, kind, maxLiability, signer } };
}

/** The time of the first block 32 slots on; null while that one is not final itself. */
async function finalAt(node: Node, slot: bigint): Promise<bigint | null> {
  const from = slot + SLOTS_TO_FINAL;
  const head = await node.ask("getSlot", [FINALIZED]);
  if (typeof head !== "number") throw unclear("getSlot");
  if (BigInt(head) < from) return null;
  const until = from + SLOTS_LOOKED_AT < BigInt(head) ? from + SLOTS_LOOKED_AT : BigInt(head);
  const slots = await node.ask("getBlocks", [Number(from), Number(until), FINALIZED]);
  if (!Array.isArray(slots)) throw unclear("getBlocks");
  if (slots[0] === undefined) throw new NodeError(`the node has no block at ${from} or soon after`);
  const time = await node.ask("getBlockTime", [slots[0]]);
  if (typeof time !== "number") throw unclear("getBlockTime");
  return BigInt(time);
}

interface RoundSaid {
  anchored: Anchored | null;
  revealed: Revealed | null;
}

/** What the program said about the round, between its close and the end of its reveal window. */
async function roundSaid(node: Node, proof: RoundProof, listed: Listed[]): Promise<RoundSaid> {
  const { schedule, round } = proof;
  if (!belongs(schedule, round)) return { anchored: null, revealed: null };
  const from = closesAt(schedule, round) - CLOCKS_DIFFER_S;
  const until = revealBy(schedule, round) + CLOCKS_DIFFER_S;
  const about = listed.filter(({ time }) => from <= time && time <= until);
  if (about.length > MOST_TXS) throw new NodeError("too many transactions in the reveal window");
  const said: RoundSaid = { anchored: await keptStatement(node, proof), revealed: null };
  for (let at = 0; at < about.length && !(said.anchored && said.revealed); at += AT_ONCE) {
    const some = about.slice(at, at + AT_ONCE);
    const told = await Promise.all(some.map((one) => heard(node, proof.program, one)));
    for (const [which, events] of told.entries()) {
      const time = (some[which] as Listed).time;
      for (const event of events) {
        said.anchored ??= await readAnchored(event, proof);
        said.revealed ??= await readRevealed(event, proof, time);
      }
    }
  }
  return said;
}

/** The digest that the batch's account keeps for the round; null where the account is gone. */
async function keptStatement(node: Node, proof: RoundProof): Promise<Anchored | null> {
  const method = "getAccountInfo";
  const address = base58(await batchAddress(proof));
  const answer = await node.ask(method, [address, { ...FINALIZED, encoding: "base64" }]);
  const value = (answer as { value?: { owner?: unknown; data?: unknown } | null } | null)?.value;
  if (value === undefined) throw unclear(method);
  if (value === null || value.owner !== base58(proof.program)) return null;
  const encoded = Array.isArray(value.data) ? (value.data as unknown[])[0] : null;
  if (typeof encoded !== "string") throw unclear(method);
  const account = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const place = Number(proof.round - proof.schedule.first);
  const at = STATEMENTS + 32 * place;
  const statement = account.slice(at, at + 32);
  if (statement.length !== 32) throw unclear(method);
  return zero(statement) ? null : { statement };
}

async function readAnchored(event: Bytes, proof: RoundProof): Promise<Anchored | null> {
  const reader = await Reader.of(event, "RootsAnchored");
  if (!reader || reader.text() !== proof.table) return null;
  const place = proof.round - reader.number(8);
  const roots = Array.from({ length: Number(reader.number(4)) }, () => reader.bytes(32));
  const root = place < 0n ? undefined : roots[Number(place)];
  return root ? { root } : null;
}

async function readRevealed(event: Bytes, proof: RoundProof, time: bigint): Promise<Revealed | null> {
  const reader = await Reader.of(event, "RoundRevealed");
  if (!reader || reader.text() !== proof.table || reader.number(8) !== proof.round) return null;
  return { seed: reader.bytes(32), time };
}

/**
 * What the program said in a transaction by calling itself, which nobody else can make it do.
 * When, the list of transactions says: Surfpool tells of a single one in another unit.
 */
async function heard(node: Node, bond: Bytes, { tx, slot, time }: Listed): Promise<Bytes[]> {
  const method = "getTransaction";
  const how = { ...FINALIZED, encoding: "json", maxSupportedTransactionVersion: 1 };
  const answer = await node.ask(method, [tx, how]);
  if (answer === null) throw new NodeError(`the node no longer has the transaction ${tx}`);
  const { meta, transaction } = answer as Answer;
  if (!transaction?.message?.accountKeys) throw unclear(method);
  if (time === 0n) throw new NodeError(`the node gives no time of slot ${slot}`);
  if (!meta || meta.err !== null) return [];
  const loaded = meta.loadedAddresses ?? {};
  const written = loaded.writable ?? [];
  const keys = [...transaction.message.accountKeys, ...written, ...(loaded.readonly ?? [])];
  const program = base58(bond);
  const inner = (meta.innerInstructions ?? []).flatMap(({ instructions }) => instructions);
  return inner
    .filter(({ programIdIndex }) => keys[programIdIndex] === program)
    .map(({ data }) => unbase58(data) ?? new Uint8Array(0))
    .filter((data) => same(data.slice(0, SAID.length), SAID))
    .map((data) => data.slice(SAID.length));
}

interface Answer {
  meta?: {
    err: unknown;
    loadedAddresses?: { writable?: string[]; readonly?: string[] };
    innerInstructions?: { instructions: { programIdIndex: number; data: string }[] }[];
  } | null;
  transaction?: { message?: { accountKeys?: string[] } };
}

/** An event's fields one after the other, as Borsh writes them. */
class Reader {
  private at = 8;

  private constructor(private readonly encoded: Bytes) {}

  /** Null for another event. */
  static async of(encoded: Bytes, name: string): Promise<Reader | null> {
    const kind = (await sha256(ascii(`event:${name}`))).slice(0, 8);
    return same(encoded.slice(0, 8), kind) ? new Reader(encoded) : null;
  }

  bytes(size: number): Bytes {
    this.at += size;
    if (this.at > this.encoded.length) throw new NodeError("an event of the program is too short");
    return this.encoded.slice(this.at - size, this.at);
  }

  number(size: number): bigint {
    return number(this.bytes(size).reverse());
  }

  text(): string {
    return new TextDecoder().decode(this.bytes(Number(this.number(4))));
  }
}

