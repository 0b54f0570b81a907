/** Proofs: all that their files hold of a round, a bet or a pair (docs/fairness/proof.md). */

import { ascii, join, u64, u256, zero, type Bytes } from "./bytes.ts";
import type { Draw } from "./games/rules.ts";
import { hmac, sha256, tag, tagged } from "./hashes.ts";
import { Fields, Malformed, raw, rows, whole, type Read } from "./reading.ts";

export const CHAIN = /^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/;
export const TABLE = /^[a-z0-9-]{1,32}$/;
export const TX = /^[0-9a-zA-Z]{1,96}$/;
const SCHEME = /^cgf\/v1$/;
const KIND = /^(?:drand|block|none)$/;
export const BOUND = /^(?:drand|block)$/; // what a commitment of pairs may bind
const MOST_SIBLINGS = 16;
const MOST_BETS = 65_536;
const MOST_DRAWN = 80;
const MAX64 = (1n << 64n) - 1n;

export type Kind = "drand" | "block" | "none";
export type Bound = Exclude<Kind, "none">;

/** What a batch of rounds declares on chain before the first one opens; times in unix seconds. */
export interface Schedule {
  first: bigint;
  count: bigint;
  opens: bigint;
  period: bigint;
  lead: bigint;
  revealWindow: bigint;
  kind: Kind;
  maxLiability: bigint;
  signer: Bytes;
}

/** Where a root was committed, as the proof says, and how a seed stands under it. */
export interface Commitment {
  tx: string;
  position: bigint;
  time: bigint;
  root: Bytes;
  proof: Bytes[];
}

export interface Bets {
  root: Bytes;
  count: bigint;
  liability: bigint;
  signature: Bytes;
}

/** Chance from outside, with what proves it: drand's signature, or nothing. */
export interface Beacon {
  kind: Kind;
  chainHash: Bytes;
  round: bigint;
  randomness: Bytes;
  signature: Bytes;
}

export interface RoundBet {
  position: bigint;
  betId: Bytes;
  payee: Bytes;
  stake: bigint;
  liability: bigint;
  account: string;
  asset: string;
  game: string;
  params: Bytes;
  payTable: Bytes;
  proof: Bytes[];
  payout: bigint;
}

/** A round from commitment to result, and one of its bets if it is the proof of one. */
export interface RoundProof {
  of: "round";
  chain: string;
  program: Bytes;
  table: string;
  round: bigint;
  schedule: Schedule;
  commitment: Commitment;
  seed: Bytes;
  bets: Bets;
  beacon: Beacon;
  outcome: Bytes;
  draw: Draw;
  bet: RoundBet | null;
}

export interface PairBet {
  nonce: bigint;
  asset: string;
  game: string;
  params: Bytes;
  payTable: Bytes;
  stake: bigint;
  at: bigint;
  previous: Bytes;
  signature: Bytes;
  outcome: Bytes;
  draw: Draw;
  payout: bigint;
}

/** A pair from commitment to results: bets in a row, all of them or some. */
export interface PairProof {
  of: "pair";
  chain: string;
  program: Bytes;
  account: string;
  epoch: bigint;
  /** That of the commitment at its contract. */
  number: bigint;
  /** The kind of chance that the commitment binds. */
  beacon: Bound;
  commitment: Commitment;
  place: bigint;
  places: bigint;
  seed: Bytes;
  clientSeed: Bytes;
  activation: Beacon;
  signer: Bytes;
  count: bigint;
  bets: PairBet[];
}

export type Proof = RoundProof | PairProof;

const HEADER = ["scheme", "kind", "chain", "program"];
const ROUND = ["table", "round", "schedule", "commitment", "seed", "bets", "beacon", "result"];
const COMMITMENT = ["tx", "position", "time", "root", "proof"];

/** A proof out of what a JSON file holds. Raises `Malformed`, and nothing else. */
export function readProof(value: unknown): Proof {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Malformed("proof", "is no object");
  }
  if (!Object.hasOwn(value, "kind")) throw new Malformed("kind", "is missing");
  const { kind } = value as { kind: unknown };
  if (kind === "pair") return readPair(value);
  if (kind === "round") return readRound(value, []);
  if (kind === "bet") return readRound(value, ["bet"]);
  throw new Malformed("kind", "is not round, bet or pair");
}

/** How many bytes a raw address of a chain may have. */
export function readAddress(fields: Fields, chain: string): Bytes {
  const namespace = chain.split(":")[0];
  if (namespace === "eip155") return fields.bytes("program", 20);
  if (namespace === "solana") return fields.bytes("program", 32);
  const program = fields.bytes("program", 20, 32);
  if ([20, 32].includes(program.length)) return program;
  throw new Malformed(fields.path("program"), "has 20 or 32 bytes");
}

function readRound(value: unknown, more: string[]): RoundProof {
  const fields = new Fields(value, "", [...HEADER, ...ROUND, ...more]);
  fields.text("scheme", SCHEME);
  const chain = fields.text("chain", CHAIN);
  const program = readAddress(fields, chain);
  const result = fields.inner("result", ["outcome", "draw"]);
  return {
    of: "round",
    chain,
    program,
    table: fields.text("table", TABLE),
    round: fields.number("round"),
    schedule: fields.take("schedule", readSchedule),
    commitment: fields.take("commitment", (one, path) =>
      readCommitment(new Fields(one, path, COMMITMENT)),
    ),
    seed: fields.hash("seed"),
    bets: fields.take("bets", readBets),
    beacon: fields.take("beacon", readBeacon),
    outcome: result.hash("outcome"),
    draw: result.take("draw", readDraw),
    bet: more.length ? fields.take("bet", readBet(program.length)) : null,
  };
}

export function readSchedule(value: unknown, path: string): Schedule {
  const times = ["first", "count", "opens", "period", "lead", "reveal_window"];
  const fields = new Fields(value, path, [...times, "kind", "max_liability", "signer"]);
  const schedule: Schedule = {
    first: fields.number("first"),
    count: fields.number("count"),
    opens: fields.number("opens"),
    period: fields.number("period"),
    lead: fields.number("lead"),
    revealWindow: fields.number("reveal_window"),
    kind: fields.text("kind", KIND) as Kind,
    maxLiability: fields.number("max_liability", 256),
    signer: fields.bytes("signer", 20),
  };
  const refuse = (reason: string) => new Malformed(path, reason);
  const { first, count, period, lead, revealWindow } = schedule;
  if (count < 1n || count > 256n) throw refuse(`a batch has 1..256 rounds, not ${count}`);
  const last = first + count - 1n;
  if (last > MAX64) throw refuse("the last round is beyond 2^64-1");
  if (lead >= period) throw refuse(`betting closes after it opens: lead ${lead} of ${period} s`);
  if (revealWindow === 0n) throw refuse("a reveal needs a window of at least one second");
  if (revealBy(schedule, last) > MAX64) throw refuse("the end of the batch is beyond 2^64-1");
  return schedule;
}

export function closesAt(schedule: Schedule, round: bigint): bigint {
  return schedule.opens + (round - schedule.first + 1n) * schedule.period - schedule.lead;
}

export function revealBy(schedule: Schedule, round: bigint): bigint {
  return closesAt(schedule, round) + schedule.revealWindow;
}

export function belongs(schedule: Schedule, round: bigint): boolean {
  return schedule.first <= round && round < schedule.first + schedule.count;
}

function readCommitment(fields: Fields): Commitment {
  return {
    tx: fields.text("tx", TX),
    position: fields.number("position"),
    time: fields.number("time"),
    root: fields.hash("root"),
    proof: fields.rows("proof", raw(32, 32), MOST_SIBLINGS),
  };
}

function readBets(value: unknown, path: string): Bets {
  const fields = new Fields(value, path, ["root", "count", "liability", "signature"]);
  return {
    root: fields.hash("root"),
    count: fields.number("count"),
    liability: fields.number("liability", 256),
    signature: fields.bytes("signature", 65),
  };
}

function readBeacon(value: unknown, path: string): Beacon {
  const names = ["kind", "chain_hash", "round", "randomness", "signature"];
  const fields = new Fields(value, path, names);
  const kind = fields.text("kind", KIND) as Kind;
  const chainHash = fields.hash("chain_hash");
  const round = fields.number("round");
  const randomness = fields.hash("randomness");
  if (kind === "none" && (round || !zero(join(chainHash, randomness)))) {
    throw new Malformed(path, "a beacon of kind none is zeros throughout");
  }
  const signature = fields.bytes("signature", kind === "drand" ? 48 : 0);
  return { kind, chainHash, round, randomness, signature };
}

function readDraw(value: unknown, path: string): Draw {
  const number = whole(53);
  return typeof value === "string" ? number(value, path) : rows(number, MOST_DRAWN)(value, path);
}

function readBet(addressSize: number): Read<RoundBet> {
  const names = ["position", "bet_id", "payee", "stake", "liability", "account", "asset", "game"];
  return (value, path) => {
    const fields = new Fields(value, path, [...names, "params", "pay_table", "proof", "payout"]);
    return {
      position: fields.number("position"),
      betId: fields.hash("bet_id"),
      payee: fields.bytes("payee", addressSize),
      stake: fields.number("stake", 256),
      liability: fields.number("liability", 256),
      account: fields.text("account"),
      asset: fields.text("asset"),
      game: fields.text("game", TABLE),
      params: fields.bytes("params", 32, 1_024),
      payTable: fields.bytes("pay_table", 0, 4_096),
      proof: fields.rows("proof", raw(32, 32), MOST_SIBLINGS),
      payout: fields.number("payout", 256),
    };
  };
}

function readPair(value: unknown): PairProof {
  const names = ["account", "epoch", "number", "beacon", "commitment", "seed", "client_seed"];
  const fields = new Fields(value, "", [...HEADER, ...names, "activation", "signer", "count", "bets"]);
  fields.text("scheme", SCHEME);
  const chain = fields.text("chain", CHAIN);
  const program = readAddress(fields, chain);
  const account = fields.text("account");
  const epoch = fields.number("epoch");
  const number = fields.number("number");
  const beacon = fields.text("beacon", BOUND) as Bound;
  const clientSeed = fields.bytes("client_seed", 1, 64);
  checkText(clientSeed, "client_seed");
  const activation = fields.take("activation", readBeacon);
  const commitment = fields.inner("commitment", [...COMMITMENT, "place", "places"]);
  const read = readCommitment(commitment);
  const place = commitment.number("place");
  const places = commitment.number("places");
  if (places < 1n || places > 65_536n) {
    throw new Malformed("commitment.places", `is 1..65536, not ${places}`);
  }
  return {
    of: "pair",
    chain,
    program,
    account,
    epoch,
    number,
    beacon,
    commitment: read,
    place,
    places,
    seed: fields.hash("seed"),
    clientSeed,
    activation,
    signer: fields.bytes("signer", 20),
    count: fields.number("count", 17),
    bets: fields.rows("bets", readPairBet, MOST_BETS),
  };
}

function checkText(bytes: Bytes, path: string): void {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Malformed(path, "is not UTF-8");
  }
}

function readPairBet(value: unknown, path: string): PairBet {
  const names = ["nonce", "asset", "game", "params", "pay_table", "stake", "at", "previous"];
  const fields = new Fields(value, path, [...names, "signature", "outcome", "draw", "payout"]);
  const bet: PairBet = {
    params: fields.bytes("params", 32, 1_024),
    nonce: fields.number("nonce"),
    asset: fields.text("asset"),
    game: fields.text("game", TABLE),
    stake: fields.number("stake", 256),
    at: fields.number("at"),
    previous: fields.hash("previous"),
    signature: fields.bytes("signature", 65),
    payTable: fields.bytes("pay_table", 0, 4_096),
    outcome: fields.hash("outcome"),
    draw: fields.take("draw", readDraw),
    payout: fields.number("payout", 256),
  };
  if (bet.nonce >= MOST_BETS) {
    throw new Malformed(path, `one seed serves the nonces 0..${MOST_BETS - 1}, not ${bet.nonce}`);
  }
  return bet;
}

/** C_n, a leaf of its batch's tree. */
export function roundCommit(proof: RoundProof): Promise<Bytes> {
  const { chain, table, round, seed } = proof;
  return tagged("round-commit", ascii(chain), ascii(table), u64(round), seed);
}

export async function roundOutcome(proof: RoundProof): Promise<Bytes> {
  const { chain, table, round, bets } = proof;
  const beacon = await beaconHash(proof.beacon);
  const place = [ascii(chain), ascii(table), u64(round)];
  return hmac(proof.seed, tag("round-out", ...place, bets.root, beacon));
}

export function beaconHash(beacon: Beacon): Promise<Bytes> {
  const { kind, chainHash, round, randomness } = beacon;
  return tagged("beacon", ascii(kind), chainHash, u64(round), randomness);
}

/** What the house signs when a round closes, and what the contract keeps of it. */
export function statement(proof: RoundProof): Promise<Bytes> {
  const { chain, program, table, round, bets } = proof;
  const place = [ascii(chain), program, ascii(table), u64(round)];
  return tagged("bets-root", ...place, bets.root, u64(bets.count), u256(bets.liability));
}

/** L, a leaf under the root of bets. */
export async function betLeaf(proof: RoundProof, bet: RoundBet): Promise<Bytes> {
  const about = [ascii(bet.account), ascii(bet.asset), ascii(bet.game), bet.params];
  const place = [ascii(proof.chain), proof.program, ascii(proof.table), u64(proof.round)];
  const amounts = [u256(bet.stake), u256(bet.liability)];
  const details = await tagged("bet-details", ...about);
  return tagged("round-bet", ...place, u64(bet.position), bet.betId, bet.payee, ...amounts, details);
}

/** The game played at a table: `numbers` at `numbers` and at `numbers-2`. */
export function gameOf(table: string): string {
  return table.replace(/-[0-9]+$/, "");
}

/** S_e, which the house publishes before the player chooses a seed. */
export function pairCommit(pair: PairProof): Promise<Bytes> {
  return tagged("pair-commit", ascii(pair.chain), ascii(pair.account), u64(pair.epoch), pair.seed);
}

export async function pairOutcome(pair: PairProof, bet: PairBet): Promise<Bytes> {
  return outcomeOf(pair, bet, await beaconHash(pair.activation));
}

/** `activation` is the hash of a beacon, not its randomness. */
export async function outcomeOf(pair: PairProof, bet: PairBet, activation: Bytes): Promise<Bytes> {
  const whose = [ascii(pair.chain), ascii(pair.account), u64(pair.epoch), pair.clientSeed];
  const what = [activation, u64(bet.nonce), ascii(bet.game), await sha256(bet.params)];
  return hmac(pair.seed, tag("pair-out", ...whose, ...what));
}

/** What the house signs for a bet of a pair, and what the next receipt holds on to. */
export async function receipt(pair: PairProof, bet: PairBet): Promise<Bytes> {
  return receiptOf(pair, bet, await beaconHash(pair.activation));
}

export async function receiptOf(pair: PairProof, bet: PairBet, activation: Bytes): Promise<Bytes> {
  const whose = [ascii(pair.chain), ascii(pair.account), u64(pair.epoch), u64(bet.nonce)];
  const what = [ascii(bet.asset), ascii(bet.game), await sha256(bet.params), u256(bet.stake)];
  const told = [pair.clientSeed, activation, ...what, u64(bet.at), bet.previous];
  return tagged("pair-receipt", ...whose, ...told);
}
