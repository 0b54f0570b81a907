/** Chain: what the player's node says about a proof, whichever chain it is of. */

import { Unread, type Facts } from "../facts.ts";
import type { Proof } from "../proofs.ts";
import { readBlock, readEvm, chainOf as evmChain } from "./evm.ts";
import { NodeError, type Node } from "./node.ts";
import { readSolana, chainOf as solanaChain } from "./solana.ts";

const PAIRS = new Unread("this page knows no contract that keeps the commitments of pairs");

/**
 * What the nodes say: `node` is of the proof's chain, `beacons` of the one whose blocks are its
 * beacons, where that is another. Raises `NodeError` when a node does not name its chain.
 */
export async function readChain(node: Node, beacons: Node | null, proof: Proof): Promise<Facts> {
  const kind = proof.chain.split(":")[0];
  if (kind !== "eip155" && kind !== "solana") {
    throw new NodeError(`this page cannot read ${proof.chain}: it knows eip155 and solana`);
  }
  if (proof.of === "pair") {
    const chain = await (kind === "eip155" ? evmChain(node) : solanaChain(node));
    return { chain, committed: PAIRS, anchored: PAIRS, revealed: PAIRS, block: null };
  }
  const facts = await (kind === "eip155" ? readEvm(node, proof) : readSolana(node, proof));
  if (beacons && proof.beacon.kind === "block") facts.block = await readBlock(beacons, proof);
  return facts;
}
