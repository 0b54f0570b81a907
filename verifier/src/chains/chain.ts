/** Chain: what the player's node says about a proof, whichever chain it is of. */

import type { Facts } from "../facts.ts";
import type { Proof } from "../proofs.ts";
import { readBlock, readEvm, readEvmPair } from "./evm.ts";
import { NodeError, type Node } from "./node.ts";
import { readSolana, readSolanaPair } from "./solana.ts";

/**
 * What the nodes say: `node` is of the proof's chain, `beacons` of the one whose blocks are its
 * beacons, where that is another. Raises `NodeError` when a node does not name its chain.
 */
export async function readChain(node: Node, beacons: Node | null, proof: Proof): Promise<Facts> {
  const kind = proof.chain.split(":")[0];
  if (kind !== "eip155" && kind !== "solana") {
    throw new NodeError(`this page cannot read ${proof.chain}: it knows eip155 and solana`);
  }
  const facts = await (proof.of === "pair"
    ? (kind === "eip155" ? readEvmPair : readSolanaPair)(node, proof)
    : (kind === "eip155" ? readEvm : readSolana)(node, proof));
  const beacon = proof.of === "pair" ? proof.activation : proof.beacon;
  if (beacons && beacon.kind === "block") facts.block = await readBlock(beacons, beacon);
  return facts;
}
