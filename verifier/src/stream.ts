/** Uniform integers out of an outcome: 64-bit words, passed over where they would favour a value. */

import { ascii, big, join, number, type Bytes } from "./bytes.ts";
import { hmac } from "./hashes.ts";

const WORD = 1n << 64n;
const PREFIX = ascii("cgf/v1/stream\0");

export class Stream {
  private block: Bytes = new Uint8Array(0);
  private blocks = 0n;
  private at = 0;

  constructor(private readonly outcome: Bytes) {}

  private async word(): Promise<bigint> {
    if (this.at === this.block.length) {
      this.block = await hmac(this.outcome, join(PREFIX, big(this.blocks++, 4)));
      this.at = 0;
    }
    this.at += 8;
    return number(this.block.subarray(this.at - 8, this.at));
  }

  /** One of 0..n-1, each as likely as any other. */
  async below(n: bigint): Promise<bigint> {
    if (n < 1n || n > WORD) throw new RangeError(`a word decides among 1..2^64 values, not ${n}`);
    const fair = (WORD / n) * n;
    for (;;) {
      const word = await this.word();
      if (word < fair) return word % n;
    }
  }

  /** The first `count` of a shuffle: place i is changed with place i + below(n - i). */
  async pick<T>(items: readonly T[], count: number): Promise<T[]> {
    const row = [...items];
    for (let at = 0; at < count; at++) {
      const other = at + Number(await this.below(BigInt(row.length - at)));
      [row[at], row[other]] = [row[other] as T, row[at] as T];
    }
    return row.slice(0, count);
  }
}
