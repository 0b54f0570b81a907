/** Signatures: the house's on secp256k1, and those of drand's quicknet on BLS12-381. */

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";

import { hex, number, same, u64, unhex, type Bytes } from "./bytes.ts";
import { sha256 } from "./hashes.ts";

const ORDER = secp256k1.Point.Fn.ORDER;

// https://api.drand.sh/v2/beacons/quicknet/info: scheme bls-unchained-g1-rfc9380.
export const QUICKNET = {
  chainHash: unhex("52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"),
  genesis: 1_692_803_367n,
  period: 3n,
  publicKey: unhex(
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451" +
      "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
  ),
};
const DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

/** Whether it is r || s || v with v of 27 or 28 and a low s, the one form that is accepted. */
export function canonical(signature: Bytes): boolean {
  const r = number(signature.subarray(0, 32));
  const s = number(signature.subarray(32, 64));
  const v = signature[64];
  return (v === 27 || v === 28) && r > 0n && r < ORDER && s > 0n && s <= ORDER / 2n;
}

/** The 20-byte address that made a canonical signature over a digest; null for nobody's. */
export function signerOf(digest: Bytes, signature: Bytes): Bytes | null {
  try {
    const made = secp256k1.Signature.fromBytes(signature.subarray(0, 64), "compact");
    const point = made.addRecoveryBit((signature[64] as number) - 27).recoverPublicKey(digest);
    return new Uint8Array(keccak_256(point.toBytes(false).subarray(1)).subarray(12));
  } catch {
    return null;
  }
}

const KNOWN = new Map<string, boolean>();

/** Whether quicknet made this signature for its round of this number; computed once for each. */
export async function quicknetSigned(round: bigint, signature: Bytes): Promise<boolean> {
  const name = `${round} ${hex(signature)}`;
  const known = KNOWN.get(name) ?? madeByQuicknet(await sha256(u64(round)), signature);
  KNOWN.set(name, known);
  return known;
}

function madeByQuicknet(message: Bytes, signature: Bytes): boolean {
  try {
    const { shortSignatures } = bls12_381;
    const point = shortSignatures.Signature.fromBytes(signature);
    // Another way to write the same point would be another randomness, its hash.
    if (!same(shortSignatures.Signature.toBytes(point), signature)) return false;
    return shortSignatures.verify(point, shortSignatures.hash(message, DST), QUICKNET.publicKey);
  } catch {
    return false;
  }
}
