/** Derived addresses of Solana: the first hash of the seeds that is no point of the curve. */

import { ascii, number, type Bytes } from "../bytes.ts";
import { sha256 } from "../hashes.ts";

const P = (1n << 255n) - 19n; // RFC 8032, section 5.1
const D = (-121_665n * power(121_666n, P - 2n)) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let square = base % P; exponent; exponent >>= 1n, square = (square * square) % P) {
    if (exponent & 1n) result = (result * square) % P;
  }
  return result;
}

/** Whether a key could be somebody's: x^2 = (y^2 - 1) / (d y^2 + 1) has a root. */
export function onCurve(key: Bytes): boolean {
  const y = number(key.slice().reverse()) & ((1n << 255n) - 1n);
  const over = y * y - 1n;
  const under = D * y * y + 1n;
  const square = (((over * under) % P) + P) % P; // a root of a/b is one of a*b, and back
  return square === 0n || power(square, (P - 1n) / 2n) === 1n;
}

/** The address that a program has for these seeds. */
export async function derived(program: Bytes, ...seeds: Bytes[]): Promise<Bytes> {
  for (let bump = 255; bump >= 0; bump--) {
    const tail = [Uint8Array.of(bump), program, ascii("ProgramDerivedAddress")];
    const address = await sha256(...seeds, ...tail);
    if (!onCurve(address)) return address;
  }
  throw new RangeError("these seeds have no address");
}
