// Wallets: what a user has, moving it, and what moved it. The API key comes in the link's fragment,
// which no browser sends to a server; it is kept in this tab, and leaves it in a header only.
"use strict";

const USERS = ["user_001", "user_002"];
const byId = (id) => document.getElementById(id);
const assets = new Map(); // id -> what amounts of it count
let shown = 0; // counts what was asked to be shown: an answer that comes late is not
let next = null; // where the page after the last one begins
let sent = null; // the last movement, whole: sent again it is the same under the same key

const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

// Amounts are decimal strings in the smallest unit; they never become floats.
const decimal = (units, scale) => {
  const sign = units.startsWith("-") ? "−" : "";
  const digits = units.replace("-", "").padStart(scale + 1, "0");
  const part = digits.slice(digits.length - scale).replace(/0+$/, "");
  return `${sign}${digits.slice(0, digits.length - scale)}${scale && part ? `.${part}` : ""}`;
};

const amount = (units, id) => {
  const { scale, symbol } = assets.get(id) || { scale: 0, symbol: id };
  return `${decimal(units, scale)} ${symbol}`;
};

// What somebody wrote, in the smallest unit; undefined when it is no amount of this asset.
const units = (written, { scale }) => {
  const [, whole, part = ""] = written.trim().match(/^([0-9]+)(?:\.([0-9]+))?$/) || [];
  if (whole === undefined || part.length > scale) return undefined;
  return (whole + part.padEnd(scale, "0")).replace(/^0+(?=.)/, "");
};

// `crypto.randomUUID` is only there behind TLS and on this machine.
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const WORDS = {
  unauthorized: () => "This key opens nothing here.",
  forbidden: () => "This key may not do that.",
  INSUFFICIENT_FUNDS: (said) =>
    `Not enough: there is ${amount(said.available, said.asset)}, and ${amount(said.wanted, said.asset)} is wanted. Nothing moved.`,
  ACCOUNT_CLOSED: () => "The account is closed. Nothing moved.",
  DUPLICATE_REFERENCE: () => "That reference stands already. Nothing moved.",
  VERSION_MISMATCH: () => "The wallet moved on meanwhile. Nothing moved.",
  unknown_user: () => "There is no such user. Nothing moved.",
  unknown_recipient: () => "There is no such user to give it to. Nothing moved.",
  same_user: () => "A transfer needs two users. Nothing moved.",
  amount_not_positive: () => "An amount is more than nothing. Nothing moved.",
  amount_too_large: () => "That is more than any wallet holds. Nothing moved.",
  in_progress: () => "It is under way. Send it again with the same key to see what came of it.",
  account_busy: () => "The account is busy. Send it again with the same key.",
};

const words = (status, said) => {
  if (WORDS[said.code]) return WORDS[said.code](said);
  return status >= 500
    ? "The house has a fault, and nobody knows whether it moved. Send it again with the same key."
    : `${said.detail || `The house says ${status}.`}`;
};

class Refused extends Error {
  constructor(status, said) {
    super(words(status, said));
    this.status = status;
    this.code = said.code;
  }
}

const ask = async (path, options = {}) => {
  const headers = { authorization: `Bearer ${sessionStorage.getItem("key")}`, ...options.headers };
  const answer = await fetch(path, { cache: "no-store", ...options, headers });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, said);
  return { said, replayed: answer.headers.get("idempotency-replayed") === "true" };
};

const here = () => `/api/wallets/${encodeURIComponent(byId("user").value)}`;

const live = (text) => {
  byId("live").dataset.state = text ? "waiting" : "live";
  byId("live").textContent = text || "open";
};

// A key that opens nothing is forgotten, and another one asked for.
const failed = (error) => {
  if (error.status === 401) {
    sessionStorage.removeItem("key");
    byId("house").hidden = true;
    byId("door").hidden = false;
  }
  live(error instanceof Refused ? error.message : "no answer");
};

const balances = ({ balances: found }) => {
  byId("balances").replaceChildren(
    ...found.map(({ asset, available, balance, held, version }) => {
      const card = element("div", undefined, "card");
      card.dataset.asset = asset.symbol;
      const list = element("dl");
      const facts = [["available", available], ["balance", balance], ["held", held]];
      for (const [name, value] of facts) list.append(element("dt", name), element("dd", decimal(value, asset.scale)));
      list.append(element("dt", "version"), element("dd", String(version)));
      card.append(element("h3", asset.symbol), list);
      return card;
    }),
  );
};

const row = (entry) => {
  const made = element("tr");
  made.dataset.transfer = entry.transfer;
  const others = entry.counter_accounts.map(({ name, user }) => user || name).join(", ");
  made.append(
    element("td", new Date(entry.at).toLocaleString([], { hour12: false }), "wide quiet"),
    element("td", entry.type.replace("_", " ")),
    element("td", amount(entry.amount, entry.asset), entry.amount.startsWith("-") ? "number" : "number won"),
    element("td", amount(entry.after, entry.asset), "number"),
    element("td", others, "wide"),
    element("td", [entry.description, entry.reference].filter(Boolean).join(" · ")),
  );
  return made;
};

const page = ({ items, next: following }) => {
  byId("entries").append(...items.map(row));
  byId("none").hidden = byId("entries").children.length > 0;
  byId("older").hidden = (next = following) === null;
};

// Everything of the user who is picked, as it is now.
const show = async () => {
  const mine = ++shown;
  try {
    const [wallet, entries] = await Promise.all([ask(here()), ask(`${here()}/history?limit=10`)]);
    if (mine !== shown) return;
    byId("unknown").hidden = true;
    balances(wallet.said);
    byId("entries").replaceChildren();
    page(entries.said);
    live("");
  } catch (error) {
    if (mine !== shown) return;
    byId("balances").replaceChildren();
    byId("entries").replaceChildren();
    page({ items: [], next: null });
    byId("unknown").hidden = error.code !== "unknown_user";
    if (error.code === "unknown_user") live("");
    else failed(error);
  }
};

const older = async () => {
  const mine = shown;
  byId("older").disabled = true;
  try {
    const { said } = await ask(`${here()}/history?limit=10&after=${next}`);
    if (mine === shown) page(said);
  } catch (error) {
    failed(error);
  } finally {
    byId("older").disabled = false;
  }
};

const outcome = (state, text) => {
  byId("sent").hidden = false;
  byId("outcome").dataset.state = state;
  byId("outcome").textContent = text;
  byId("key").textContent = sent ? sent.key : "none: nothing was sent";
  byId("again").hidden = !sent;
};

// Whatever happens on the way, the same movement under the same key moves once.
const deliver = async () => {
  const { path, body, key } = sent;
  const buttons = [byId("again"), byId("move").querySelector("button")];
  for (const button of buttons) button.disabled = true;
  outcome("waiting", "…");
  try {
    const headers = { "content-type": "application/json", "x-idempotency-key": key };
    const { said, replayed } = await ask(path, { method: "POST", headers, body });
    const what = `${said.type.replace("_", " ")} of ${amount(said.amount, said.asset)}`;
    const left = `${said.user} had ${amount(said.balance, said.asset)} then`;
    outcome("moved", replayed ? `It moved before, and only once: ${what}; ${left}.` : `Done: ${what}; ${left}.`);
  } catch (error) {
    const lost = "No answer, and nobody knows whether it moved. Send it again with the same key.";
    outcome("refused", error instanceof Refused ? error.message : lost);
    if (error.status === 401) failed(error);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
  if (sessionStorage.getItem("key")) await show();
};

const send = async (event) => {
  event.preventDefault();
  const asset = assets.get(byId("asset").value);
  const way = byId("way").value;
  const wanted = units(byId("amount").value, asset);
  if (wanted === undefined) {
    sent = null;
    const digits = asset.scale ? `with at most ${asset.scale} digits behind the point` : "without fractions";
    outcome("refused", `That is no amount of ${asset.symbol}: a number ${digits}. Nothing was sent.`);
    return;
  }
  const body = { asset: asset.id, amount: wanted };
  if (byId("note").value) body.description = byId("note").value;
  if (way === "transfer") body.to = byId("to").value;
  sent = { path: `${here()}/${way}`, body: JSON.stringify(body), key: newKey() };
  await deliver();
};

const pick = (user) => {
  const select = byId("user");
  if (![...select.options].some((option) => option.value === user)) select.append(new Option(user, user));
  select.value = user;
  sent = null;
  byId("sent").hidden = true;
  return show();
};

const chooseWay = () => {
  const passing = byId("way").value === "transfer";
  byId("recipient").hidden = !passing;
  byId("to").required = passing;
};

const open = async () => {
  try {
    for (const asset of (await ask("/api/assets")).said.items) assets.set(asset.id, asset);
    byId("asset").replaceChildren(...[...assets.values()].map(({ id, symbol }) => new Option(symbol, id)));
    byId("door").hidden = true;
    byId("house").hidden = false;
    await pick(byId("user").value);
  } catch (error) {
    failed(error);
  }
};

// The fragment is taken out of the address at once, so that it is in no bookmark and no history.
const enter = () => {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem("key", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  if (sessionStorage.getItem("key")) open();
};

byId("user").append(...USERS.map((user) => new Option(user, user)));
byId("user").onchange = () => pick(byId("user").value);
byId("another").onsubmit = (event) => {
  event.preventDefault();
  pick(byId("name").value.trim());
  byId("name").value = "";
};
byId("door").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("key", byId("secret").value.trim());
  byId("secret").value = "";
  open();
};
byId("way").onchange = chooseWay;
byId("move").onsubmit = send;
byId("again").onclick = deliver;
byId("older").onclick = older;
addEventListener("hashchange", enter);
chooseWay();
enter();
