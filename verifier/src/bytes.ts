/** Bytes: hex, whole numbers in big-endian, and what it takes to put them together. */

export type Bytes = Uint8Array<ArrayBuffer>;

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of an even number of hex digits; the caller has looked at them. */
export function unhex(digits: string): Bytes {
  const bytes = new Uint8Array(digits.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = parseInt(digits.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

export function ascii(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function join(...parts: Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

export function same(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function zero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Big-endian, in so many bytes. */
export function big(number: bigint, size: number): Bytes {
  if (number < 0n || number >> BigInt(8 * size)) throw new RangeError(`${number} in ${size} bytes`);
  return unhex(number.toString(16).padStart(2 * size, "0"));
}

export const u64 = (number: bigint): Bytes => big(number, 8);
export const u256 = (number: bigint): Bytes => big(number, 32);

export function number(bytes: Uint8Array): bigint {
  return bytes.length ? BigInt(`0x${hex(bytes)}`) : 0n;
}
