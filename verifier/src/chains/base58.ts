/** Base58, as Solana writes keys, transactions and the data of instructions. */

import { unhex, type Bytes } from "../bytes.ts";

const LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function base58(bytes: Uint8Array): string {
  let left = bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
  let written = "";
  while (left) {
    written = LETTERS.charAt(Number(left % 58n)) + written;
    left /= 58n;
  }
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + written;
}

/** Null for what is not Base58. */
export function unbase58(text: string): Bytes | null {
  let number = 0n;
  for (const letter of text) {
    const digit = LETTERS.indexOf(letter);
    if (digit < 0) return null;
    number = number * 58n + BigInt(digit);
  }
  const digits = number ? number.toString(16) : "";
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  return unhex("00".repeat(zeros) + (digits.length % 2 ? "0" : "") + digits);
}
