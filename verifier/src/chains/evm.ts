/** EVM: what the bond's contract keeps and said, read from any node by eth_call and eth_getLogs. */

import { keccak_256 } from "@noble/hashes/sha3.js";

import { ascii, hex, join, number, same, u256, unhex, zero, type Bytes } from "../bytes.ts";
import { Unread, type Anchored, type Block, type Committed, type Facts, type Revealed } from "../facts.ts";
import { sha256 } from "../hashes.ts";
import {
  belongs,
  closesAt,
  revealBy,
  type Beacon,
  type Bound,
  type PairProof,
  type RoundProof,
  type Schedule,
} from "../proofs.ts";
import { Node, NodeError, unclear } from "./node.ts";

const COMMITTED =
  "RoundsCommitted(string,uint64,uint32,uint8,bytes32,(uint64,uint32,uint32,uint32),uint128,address)";
const REVEALED = "RoundRevealed(string,uint64,bytes32)";
const BATCH_AT = "batchAt(string,uint64)";
const ROUND_AT = "roundAt(string,uint64)";
const PAIRS_COMMITTED = "PairsCommitted(uint64,bytes32,uint16,uint8)";
const PAIR_REVEALED = "PairRevealed(uint64,uint16,string,uint64,bytes32)";
const PAIRS_AT = "pairsAt(uint64)";
const WORD = 32;
const SPAN = 1_000n; // blocks per question for logs: few nodes answer for more
const MOST_SPANS = 50;
// So many blocks at least; more where the node's own final block is further behind its head.
const BLOCKS_TO_FINAL: Readonly<Record<string, bigint>> = { "eip155:1": 64n, "eip155:8453": 300n };
// Of pairs exactly so many, as chains/networks says: the block this far on names their beacon.
const PAIRS_TO_FINAL: Readonly<Record<string, bigint>> = { ...BLOCKS_TO_FINAL, "eip155:31337": 2n };
const PAIRS_TO_FINAL_ELSEWHERE = 64n;
const KINDS: Readonly<Record<string, Bound>> = { "1": "drand", "2": "block" };

interface Header {
  number: bigint;
  hash: Bytes;
  time: bigint;
}

interface Batch {
  root: Bytes;
  schedule: Schedule;
  revealed: bigint;
}

/** What the chain has of a round. Raises `NodeError` for a node that does not even name its chain. */
export async function readEvm(node: Node, proof: RoundProof): Promise<Facts> {
  const chain = await chainOf(node);
  const beacon = proof.beacon.kind === "block" ? await readBlock(node, proof.beacon) : null;
  const none: Facts = { chain, committed: null, anchored: null, revealed: null, block: beacon };
  if (chain !== proof.chain) return none;
  const final = await unread(headerAt(node, "finalized"));
  if (final instanceof Unread) return { ...none, committed: final, anchored: final, revealed: final };
  const batch = await unread(batchAt(node, proof));
  const said = await unread(committed(node, proof, final));
  return {
    ...none,
    committed: contradicts(said, batch) ? new Unread("the node contradicts itself") : said,
    anchored: await unread(anchored(node, proof)),
    revealed: batch instanceof Unread ? batch : await unread(revealed(node, proof, batch, final)),
  };
}

/** What the chain has of a pair. Raises `NodeError` for a node that does not even name its chain. */
export async function readEvmPair(node: Node, pair: PairProof): Promise<Facts> {
  const chain = await chainOf(node);
  const { activation } = pair;
  const beacon = activation.kind === "block" ? await readBlock(node, activation) : null;
  const none: Facts = { chain, committed: null, anchored: null, revealed: null, block: beacon };
  if (chain !== pair.chain) return none;
  const final = await unread(headerAt(node, "finalized"));
  if (final instanceof Unread) return { ...none, committed: final, revealed: final };
  const said = await unread(pairsCommitted(node, pair, final));
  const asked = join(selector(PAIRS_AT), u256(pair.number));
  const kept = await unread(view(node, pair.program, asked));
  const other =
    said !== null && !(said instanceof Unread) && said.finalAt !== null &&
    !(kept instanceof Unread) && !same(kept.bytes(0), said.root);
  return {
    ...none,
    committed: other ? new Unread("the node contradicts itself") : said,
    revealed: kept instanceof Unread ? kept : await unread(pairRevealed(node, pair, kept, final)),
  };
}

/** The event of the commitment, at the block where the proof says it is. */
async function pairsCommitted(node: Node, pair: PairProof, final: Header): Promise<Committed | null> {
  const { program, number, commitment } = pair;
  const at = commitment.position;
  for (const log of await logs(node, program, PAIRS_COMMITTED, number, at, at)) {
    const words = new Words(unhex(log.data));
    const block = await headerAt(node, at);
    if (hex(block.hash) !== log.blockHash) throw unclear("eth_getLogs");
    const sealed = at + (PAIRS_TO_FINAL[pair.chain] ?? PAIRS_TO_FINAL_ELSEWHERE);
    const there = final.number >= at && (await headerAt(node, "latest")).number >= sealed;
    return {
      program,
      table: null,
      root: words.bytes(0),
      schedule: null,
      tx: prefixed(commitment.tx) ? `0x${log.tx}` : log.tx,
      position: at,
      time: block.time,
      finalAt: there ? (await headerAt(node, sealed)).time : null,
      number,
      kind: KINDS[`${words.number(2)}`] ?? null,
    };
  }
  return null;
}

/** The seed that the contract was shown, some time after the commitment. */
async function pairRevealed(
  node: Node,
  pair: PairProof,
  kept: Words,
  final: Header,
): Promise<Revealed | null> {
  if (!((kept.number(3) >> pair.place) & 1n)) return null;
  const first = pair.commitment.position;
  for (let from = first, spans = 0; from <= final.number; from += SPAN, spans++) {
    if (spans === MOST_SPANS) break;
    const to = from + SPAN - 1n < final.number ? from + SPAN - 1n : final.number;
    for (const log of await logs(node, pair.program, PAIR_REVEALED, pair.number, from, to)) {
      const words = new Words(unhex(log.data));
      if (words.number(0) !== pair.place) continue;
      return { seed: words.bytes(3), time: (await headerAt(node, log.block)).time };
    }
  }
  throw new NodeError("the contract was shown the seed, and no log of it was found");
}

/** Whether the contract keeps another root than the one it said it does. */
function contradicts(said: Committed | Unread | null, batch: Batch | Unread): boolean {
  if (said === null || said instanceof Unread || batch instanceof Unread) return false;
  return said.finalAt !== null && !same(said.root, batch.root);
}

export async function chainOf(node: Node): Promise<string> {
  const method = "eth_chainId";
  const id = await node.ask(method, []);
  if (typeof id !== "string") throw unclear(method);
  return `eip155:${quantity(id, method)}`;
}

/** The block that a beacon of kind `block` names, with the one before it. */
export async function readBlock(node: Node, beacon: Beacon): Promise<Block | Unread> {
  return unread(
    (async () => {
      const chain = await chainOf(node);
      if (!same(await sha256(ascii(chain)), beacon.chainHash)) {
        throw new NodeError(`the beacon is of another chain than ${chain}, which this node is of`);
      }
      if (beacon.round === 0n) throw new NodeError("the first block of a chain is no beacon");
      const block = await headerAt(node, beacon.round);
      const parent = await headerAt(node, beacon.round - 1n);
      return { chain, ...block, parentTime: parent.time };
    })(),
  );
}

async function unread<T>(asked: Promise<T>): Promise<T | Unread> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof NodeError) return new Unread(error.message);
    throw error;
  }
}

/** The event of the commitment, at the block where the proof says it is. */
async function committed(node: Node, proof: RoundProof, final: Header): Promise<Committed | null> {
  const { schedule, commitment, table } = proof;
  const at = commitment.position;
  for (const log of await logs(node, proof.program, COMMITTED, schedule.first, at, at)) {
    const words = new Words(unhex(log.data));
    if (words.text(0) !== table) continue;
    const block = await headerAt(node, at);
    if (hex(block.hash) !== log.blockHash) throw unclear("eth_getLogs");
    return {
      program: proof.program,
      table,
      root: words.bytes(3),
      schedule: {
        first: schedule.first,
        count: words.number(1),
        kind: KINDS[`${words.number(2)}`] ?? "none",
        opens: words.number(4),
        period: words.number(5),
        lead: words.number(6),
        revealWindow: words.number(7),
        maxLiability: words.number(8),
        signer: words.address(9),
      },
      tx: prefixed(commitment.tx) ? `0x${log.tx}` : log.tx,
      position: at,
      time: block.time,
      finalAt: await finalAt(node, proof.chain, at, final),
      number: null,
      kind: null,
    };
  }
  return null;
}

const prefixed = (tx: string): boolean => tx.startsWith("0x");

/** The time of the block that made another one final; null while it is not. */
async function finalAt(
  node: Node,
  chain: string,
  position: bigint,
  final: Header,
): Promise<bigint | null> {
  if (final.number < position) return null;
  const latest = await headerAt(node, "latest");
  const behind = latest.number - final.number;
  const least = BLOCKS_TO_FINAL[chain] ?? 0n;
  const sealed = position + (behind > least ? behind : least);
  return sealed > latest.number ? null : (await headerAt(node, sealed)).time;
}

/** What is fixed for the round's bets, as far as it is final. */
async function anchored(node: Node, proof: RoundProof): Promise<Anchored | null> {
  const words = await call(node, proof, ROUND_AT, proof.round);
  const statement = words.bytes(0);
  return zero(statement) ? null : { statement };
}

async function batchAt(node: Node, proof: RoundProof): Promise<Batch> {
  const words = await call(node, proof, BATCH_AT, proof.schedule.first);
  const schedule: Schedule = {
    first: proof.schedule.first,
    signer: words.address(1),
    opens: words.number(2),
    count: words.number(3),
    kind: KINDS[`${words.number(4)}`] ?? "none",
    period: words.number(5),
    lead: words.number(6),
    revealWindow: words.number(7),
    maxLiability: words.number(8),
  };
  return { root: words.bytes(0), schedule, revealed: words.number(10) };
}

/** The seed that the contract was shown, out of the blocks in which it could be. */
async function revealed(
  node: Node,
  proof: RoundProof,
  batch: Batch,
  final: Header,
): Promise<Revealed | null> {
  const { round } = proof;
  const { schedule } = batch;
  if (!belongs(schedule, round)) return null;
  if (!((batch.revealed >> (round - schedule.first)) & 1n)) return null;
  const first = await firstFrom(node, closesAt(schedule, round), final);
  const last = await firstFrom(node, revealBy(schedule, round) + 1n, final);
  for (let from = first, spans = 0; from <= last; from += SPAN, spans++) {
    if (spans === MOST_SPANS) break;
    const to = from + SPAN - 1n < last ? from + SPAN - 1n : last;
    for (const log of await logs(node, proof.program, REVEALED, round, from, to)) {
      const words = new Words(unhex(log.data));
      if (words.text(0) !== proof.table) continue;
      return { seed: words.bytes(1), time: (await headerAt(node, log.block)).time };
    }
  }
  throw new NodeError("the contract was shown a seed, and the node has no log of it");
}

/** The number of the first block of a time or later, found by halving. */
async function firstFrom(node: Node, time: bigint, final: Header): Promise<bigint> {
  let low = 0n;
  let high = final.number;
  while (low < high) {
    const middle = (low + high) / 2n;
    if ((await headerAt(node, middle)).time >= time) high = middle;
    else low = middle + 1n;
  }
  return low;
}

async function headerAt(node: Node, at: bigint | "finalized" | "latest"): Promise<Header> {
  const method = "eth_getBlockByNumber";
  const asked = typeof at === "bigint" ? `0x${at.toString(16)}` : at;
  const answer = await node.ask(method, [asked, false]);
  if (answer === null) throw new NodeError(`the node has no block ${at}`);
  const { number: position, hash, timestamp } = answer as Record<string, unknown>;
  return {
    number: quantity(position, method),
    hash: unhex(digits(hash, method)),
    time: quantity(timestamp, method),
  };
}

async function call(node: Node, proof: RoundProof, verb: string, about: bigint): Promise<Words> {
  const table = ascii(proof.table);
  const padded = join(table, new Uint8Array((WORD - (table.length % WORD)) % WORD));
  const head = [selector(verb), u256(64n), u256(about), u256(BigInt(table.length))];
  return view(node, proof.program, join(...head, padded));
}

async function view(node: Node, program: Bytes, asked: Bytes): Promise<Words> {
  const method = "eth_call";
  const call = { to: `0x${hex(program)}`, data: `0x${hex(asked)}` };
  const answer = await node.ask(method, [call, "finalized"]);
  const words = digits(answer, method);
  if (!words) throw new NodeError("there is no such contract on this chain");
  return new Words(unhex(words));
}

interface Log {
  tx: string;
  block: bigint;
  blockHash: string;
  data: string;
}

/** What the contract said about a batch, round or commitment, in blocks from one to another. */
async function logs(
  node: Node,
  program: Bytes,
  event: string,
  about: bigint,
  from: bigint,
  to: bigint,
): Promise<Log[]> {
  const method = "eth_getLogs";
  const address = `0x${hex(program)}`;
  const topics = [`0x${hex(topic(event))}`, `0x${hex(u256(about))}`];
  const range = { fromBlock: `0x${from.toString(16)}`, toBlock: `0x${to.toString(16)}` };
  const answer = await node.ask(method, [{ address, topics, ...range }]);
  if (!Array.isArray(answer)) throw unclear(method);
  const heard = answer as Record<string, unknown>[];
  // A node may have its own idea of a filter: what it answers must be what was asked for.
  const mine = heard.filter(
    (log) =>
      String(log["address"]).toLowerCase() === address &&
      Array.isArray(log["topics"]) &&
      topics.every((one, at) => (log["topics"] as unknown[])[at] === one) &&
      log["removed"] !== true,
  );
  return mine.map((log) => ({
    tx: digits(log["transactionHash"], method),
    block: quantity(log["blockNumber"], method),
    blockHash: digits(log["blockHash"], method),
    data: digits(log["data"], method),
  }));
}

function topic(event: string): Uint8Array {
  return keccak_256(ascii(event));
}

function selector(verb: string): Uint8Array {
  return topic(verb).subarray(0, 4);
}

function quantity(value: unknown, method: string): bigint {
  if (typeof value !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(value)) throw unclear(method);
  return BigInt(value);
}

function digits(value: unknown, method: string): string {
  if (typeof value !== "string" || !/^0x(?:[0-9a-f]{2})*$/i.test(value)) throw unclear(method);
  return value.slice(2).toLowerCase();
}

/** An answer in words of 32 bytes, as the ABI writes it. */
class Words {
  constructor(private readonly encoded: Bytes) {}

  bytes(at: number): Bytes {
    const word = this.encoded.slice(at * WORD, (at + 1) * WORD);
    if (word.length !== WORD) throw new NodeError("the contract's answer is too short");
    return word;
  }

  number(at: number): bigint {
    return number(this.bytes(at));
  }

  address(at: number): Bytes {
    return this.bytes(at).slice(12);
  }

  /** A text of at most one word, which its place points at. */
  text(at: number): string {
    const start = Number(this.number(at)) / WORD;
    const size = Number(this.number(start));
    if (!Number.isInteger(start) || size > WORD) throw new NodeError("the contract's answer is odd");
    return new TextDecoder().decode(this.bytes(start + 1).slice(0, size));
  }
}

