// The page: bets as they come, sums as they change, and how the line is.
"use strict";

const MOST_ROWS = 50;
const LOOK_MS = 2000;
const COINS = { 60: [18, "ETH"], 501: [9, "SOL"] };
const byId = (id) => document.getElementById(id);
const rows = new Map(); // bet id -> its row, newest first in the table
const places = {}; // channel -> how far we heard, so that nothing is missed when we come back

const element = (name, text, kind) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
};

const short = (text) => (text && text.length > 12 ? `${text.slice(0, 6)}…${text.slice(-4)}` : text || "");

// Amounts are decimal strings in the smallest unit; they never become floats.
const amount = (units, asset) => {
  if (units === null || units === undefined) return "";
  const [decimals, symbol] = COINS[asset.split("slip44:")[1]] || [0, short(asset)];
  const sign = units.startsWith("-") ? "−" : "";
  const digits = units.replace("-", "").padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const part = digits.slice(digits.length - decimals).slice(0, 5).replace(/0+$/, "");
  return `${sign}${whole}${part ? `.${part}` : ""} ${symbol}`;
};

const choice = ({ choice: chosen }) =>
  chosen && chosen.low !== undefined ? `${chosen.low}–${chosen.high - 1}` : JSON.stringify(chosen ?? "");

const result = (bet) => {
  if (bet.status === "placed") return ["waits", "quiet"];
  if (bet.status !== "settled") return [bet.status, "bad"];
  const roll = bet.outcome && bet.outcome.roll !== undefined ? `${bet.outcome.roll} · ` : "";
  return bet.payout === "0" ? [`${roll}lost`, ""] : [`${roll}won ${amount(bet.payout, bet.asset)}`, "won"];
};

const drawn = (bet) => {
  const row = element("tr", undefined, "new");
  row.dataset.bet = bet.id;
  row.dataset.status = bet.status;
  row.title = bet.tx || "";
  const [text, kind] = result(bet);
  row.append(
    element("td", bet.network.startsWith("solana:") ? "Solana" : "EVM"),
    element("td", short(bet.player), "wide"),
    element("td", choice(bet)),
    element("td", amount(bet.stake, bet.asset), "number"),
    element("td", text, `number ${kind}`),
  );
  return row;
};

const show = (bet) => {
  const old = rows.get(bet.id);
  // A bet that has ended is not placed again by a message that came late.
  if (old && bet.status === "placed") return;
  const row = drawn(bet);
  if (old) old.replaceWith(row);
  else byId("bets").prepend(row);
  rows.set(bet.id, row);
  for (const [id, oldest] of rows) {
    if (rows.size <= MOST_ROWS) break;
    oldest.remove();
    rows.delete(id);
  }
  byId("none").hidden = true;
};

const card = (title, facts, kind = "") => {
  const made = element("div", undefined, `card ${kind}`);
  const list = element("dl");
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", String(value ?? "?")));
  made.append(element("h3", title), list);
  return made;
};

const read = async (path) => (await fetch(path)).json();

const totals = async () => {
  const said = await read("/api/casino/stats");
  byId("totals").replaceChildren(
    ...said.assets.map((sum) => {
      const [chain] = sum.asset.split("/");
      return card(chain.startsWith("solana:") ? "Solana" : "EVM", [
        ["bets", sum.bets],
        ["settled", sum.settled],
        ["won", sum.wins],
        ["staked", amount(sum.staked, sum.asset)],
        ["paid", amount(sum.paid, sum.asset)],
      ]);
    }),
    card("Players", [["at this house", said.players]]),
  );
};

const health = async () => {
  const said = await read("/health");
  const under = Object.values(said.pages || {}).reduce((sum, { pages }) => sum + pages, 0);
  byId("line").replaceChildren(
    ...(said.sources || []).map((source) =>
      card(source.network, [
        ["chain head", source.head],
        ["read up to", source.frontier],
        ["lag", source.lag],
        ["final up to", source.finalized],
      ], source.error ? "bad" : "")),
    card(`House: ${said.status}`, [
      ["pages under way", under],
      ["messages waiting", said.outbox?.waiting],
      ["dead letters", said.dead_letters],
      ["processes", (said.processes || []).filter((one) => one.ok).length],
    ], said.status === "ok" ? "" : "bad"),
  );
  byId("troubles").replaceChildren(...(said.troubles || []).map((trouble) => element("li", trouble)));
};

const recent = async () => {
  for (const bet of (await read(`/api/bets/recent?limit=${MOST_ROWS}`)).items.reverse()) show(bet);
};

const state = (name, text) => {
  byId("live").dataset.state = name;
  byId("live").textContent = text;
};

const heard = (said) => {
  if (said.type === "subscribed") {
    state("live", "live");
    if (said.recovered !== true) recent();
    return;
  }
  if (said.seq === undefined) return;
  const channel = said.type.startsWith("bet.") ? "bets" : "stats";
  places[channel] = { epoch: said.epoch, seq: said.seq };
  if (channel === "bets") show(said.data);
  else totals();
};

const listen = (url) => {
  const socket = new WebSocket(url);
  const since = Object.keys(places).length ? { since: places } : {};
  socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", channels: ["bets", "stats"], ...since }));
  socket.onmessage = ({ data }) => heard(JSON.parse(data));
  socket.onclose = () => {
    state("waiting", "reconnecting");
    setTimeout(() => listen(url), 500 + Math.random() * 1000);
  };
};

// Looks again and again; a house that does not answer is asked again, and said to be silent.
const look = async () => {
  try {
    await Promise.all([health(), totals()]);
  } catch {
    state("waiting", "no answer");
  }
  setTimeout(look, LOOK_MS);
};

read("/api/line").then(({ feed_url: url }) => listen(url)).catch((error) => state("waiting", String(error)));
look();
