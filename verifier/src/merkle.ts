/** Merkle trees: leaves hash behind 00, nodes behind 01, missing places are 32 zero bytes. */

import { same, type Bytes } from "./bytes.ts";
import { sha256 } from "./hashes.ts";

export const MOST_LEAVES = 65_536n;
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** How many siblings lead from a leaf to the root. */
export function depth(count: bigint): number {
  let siblings = 0;
  while (1n << BigInt(siblings) < count) siblings++;
  return siblings;
}

/** The root that a proof leads to, whatever it is worth. */
export async function climb(entry: Bytes, position: bigint, proof: Bytes[]): Promise<Bytes> {
  let found = await sha256(LEAF, entry);
  for (const [height, sibling] of proof.entries()) {
    const right = (position >> BigInt(height)) & 1n;
    found = await (right ? sha256(NODE, sibling, found) : sha256(NODE, found, sibling));
  }
  return found;
}

/** Whether the entry stands at this position among so many under the root. */
export async function proves(
  root: Bytes,
  entry: Bytes,
  position: bigint,
  count: bigint,
  proof: Bytes[],
): Promise<boolean> {
  if (position >= count || count > MOST_LEAVES || proof.length !== depth(count)) return false;
  return same(await climb(entry, position, proof), root);
}
