/** The page: takes a proof and perhaps a node, checks every step here, and shows what was found. */

import * as bytes from "../bytes.ts";
import { readChain } from "../chains/chain.ts";
import { Node, NodeError } from "../chains/node.ts";
import * as chance from "../checks/chance.ts";
import * as terms from "../checks/terms.ts";
import { readFacts, Unread, type Facts } from "../facts.ts";
import * as games from "../games/index.ts";
import * as rules from "../games/rules.ts";
import * as hashes from "../hashes.ts";
import * as merkle from "../merkle.ts";
import * as proofs from "../proofs.ts";
import { readProof, type Proof } from "../proofs.ts";
import { Malformed } from "../reading.ts";
import * as signatures from "../signatures.ts";
import * as steps from "../steps.ts";
import type { Status, Step } from "../steps.ts";
import * as stream from "../stream.ts";
import { verify } from "../verify.ts";
import { summary } from "./summary.ts";
import { verdict } from "./verdict.ts";
import { wordsFor } from "./words.ts";

const MOST_BYTES = 200_000_000; // a pair of 65,536 bets is about half of it
const MARKS: Readonly<Record<Status, string>> = {
  ok: "✓ ok",
  failed: "✗ failed",
  unchecked: "– not checked",
};

function part<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

const form = part<HTMLFormElement>("form");
const written = part<HTMLTextAreaElement>("proof");
const file = part<HTMLInputElement>("file");
const node = part<HTMLInputElement>("node");
const beacons = part<HTMLInputElement>("beacons");
const said = part("verdict");
const result = part("result");
let run = 0;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void check();
});
written.addEventListener("input", withdraw);
node.addEventListener("input", withdraw);
beacons.addEventListener("input", withdraw);
file.addEventListener("change", () => void take(file.files?.[0]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  void take(event.dataTransfer?.files[0]);
});

async function take(given: File | undefined): Promise<void> {
  if (!given) return;
  withdraw();
  if (given.size > MOST_BYTES) return refuse(`${given.name} is too large for a proof.`);
  written.value = await given.text();
  await check();
}

/** What is shown is about what was given: another input, and it is gone. */
function withdraw(): void {
  run++;
  result.hidden = true;
  said.hidden = true;
}

function say(status: Status | "busy" | "refused", text: string): void {
  said.hidden = false;
  said.dataset["status"] = status;
  said.textContent = text;
}

function refuse(reason: string): void {
  result.hidden = true;
  say("refused", reason);
}

async function check(): Promise<void> {
  withdraw();
  const mine = run;
  const began = performance.now();
  try {
    const proof = readProof(parsed(written.value));
    say("busy", node.value.trim() ? "Asking the node and computing …" : "Computing …");
    await painted();
    const facts = await factsFor(proof);
    const steps = await verify(proof, facts);
    if (mine === run) show(proof, steps, performance.now() - began, facts !== null);
  } catch (error) {
    if (mine !== run) return;
    if (error instanceof Malformed) refuse(`This is no proof that can be read. ${error.message}.`);
    else if (error instanceof NodeError) refuse(`${error.message}.`);
    else refuse(`This page failed by itself, and has checked nothing: ${String(error)}`);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Malformed("proof", text.trim() ? "is not JSON" : "is empty: paste one or choose a file");
  }
}

/** Lets the browser draw before the computing begins. */
function painted(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** What the player's nodes say; null when none is named. A node of another chain says nothing. */
async function factsFor(proof: Proof): Promise<Facts | null> {
  const [main, other] = [node.value.trim(), beacons.value.trim()];
  if (!main && !other) return null;
  const blind = (reason: string): Facts => {
    const why = new Unread(reason);
    return { chain: proof.chain, committed: why, anchored: why, revealed: why, block: why };
  };
  if (!main) return blind("needs the node of the chain: only that of the beacon was named");
  const nodes: [Node, Node | null] = [new Node(main), other ? new Node(other) : null];
  try {
    const facts = await readChain(...nodes, proof);
    if (facts.chain === proof.chain) return facts;
    return blind(`the node is of ${facts.chain}, and the proof is of ${proof.chain}`);
  } catch (error) {
    if (error instanceof NodeError) return blind(error.message);
    throw error;
  }
}

function show(proof: Proof, steps: Step[], took: number, asked: boolean): void {
  const words = (step: Step) => wordsFor(step.name, proof.of);
  const { status, says } = verdict(steps, (step) => words(step).title);
  say(status, says);
  part("about").replaceChildren(
    ...summary(proof).flatMap(([name, value]) => [tag("dt", {}, name), tag("dd", {}, value)]),
  );
  part("steps").replaceChildren(
    ...steps.map((step) => {
      const { title, means, broken } = words(step);
      const explained = step.status === "failed" && broken ? [tag("p", { class: "broken" }, broken)] : [];
      return tag(
        "tr",
        { role: "row", "data-step": step.name, "data-status": step.status },
        tag("td", { role: "cell", class: "mark" }, MARKS[step.status]),
        tag(
          "th",
          { role: "rowheader", scope: "row" },
          tag("span", { class: "title" }, title),
          tag("p", {}, means),
          ...explained,
        ),
        tag("td", { role: "cell", "data-label": "Expected" }, tag("code", {}, step.expected)),
        tag("td", { role: "cell", "data-label": "Found" }, tag("code", {}, step.found)),
      );
    }),
  );
  part("took").textContent = `${steps.length} steps in ${Math.max(1, Math.round(took))} ms, on this device.`;
  part("offline").hidden = asked;
  part("none").hidden = proof.of !== "round" || proof.bets.count > 0n;
  result.hidden = false;
}

function tag(name: string, attributes: Record<string, string>, ...inside: (string | HTMLElement)[]): HTMLElement {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
}

/** `?proof=` names a proof on the host that this page came from, and on no other. */
async function fetched(): Promise<void> {
  const named = new URLSearchParams(location.search).get("proof");
  if (!named) return;
  const address = URL.canParse(named, location.href) ? new URL(named, location.href) : null;
  if (!/^https?:$/.test(location.protocol) || address?.origin !== location.origin) {
    return refuse("A proof is fetched only from the host that this page came from.");
  }
  say("busy", "Fetching the proof …");
  try {
    const answer = await fetch(address, { credentials: "omit", redirect: "error" });
    if (!answer.ok) return refuse(`The proof could not be fetched: ${answer.status}.`);
    written.value = await answer.text();
  } catch {
    return refuse("The proof could not be fetched.");
  }
  await check();
}

// For the console, and for whoever wants to check many: the same steps, as values, and every formula.
Object.defineProperty(globalThis, "fairhouse", {
  value: Object.freeze({
    verify: async (proof: unknown, facts: unknown = null): Promise<Step[]> =>
      verify(readProof(proof), facts === null ? null : readFacts(facts)),
    formulas: Object.freeze({
      ...{ bytes, chance, games, hashes, merkle, proofs },
      ...{ rules, signatures, steps, stream, terms },
    }),
  }),
});

void fetched();
