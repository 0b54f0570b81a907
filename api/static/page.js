// The page: bets as they come, sums as they change, and how the line is.
"use strict";

const MOST_ROWS = 50;
const DECIMALS = { 60: [18, "ETH"], 501: [9, "SOL"] };
const byId = (id) => document.getElementById(id);
const rows = new Map();
const places = {};

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
  const [decimals, symbol] = DECIMALS[(asset || "").split("slip44:")[1]] || [0, ""];
  const sign = units.startsWith("-") ? "-" : "";
  const digits = units.replace("-", "").padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const part = digits.slice(digits.length - decimals).replace(/0+$/, "").slice(0, 6);
  return `${sign}${whole}${part ? "." + part : ""} ${symbol}`.trim();
};

const choice = (bet) => (bet.choice && bet.choice.low !== undefined ? `${bet.choice.low}–${bet.choice.high}` : "");

const result = (bet) => {
  if (bet.status === "settled") {
    const roll = bet.outcome && bet.outcome.roll !== undefined ? `${bet.outcome.roll} · ` : "";
    return bet.payout !== "0" ? [`${roll}won ${amount(bet.payout, bet.asset)}`, "won"] : [`${roll}lost`, ""];
  }
  return [bet.status, bet.status === "placed" ? "" : "bad"];
};

const show = (bet) => {
  const key = bet.id;
  const [text, kind] = result(bet);
  const row = element("tr");
  row.dataset.bet = key;
  for (const cell of [bet.network.split(":")[0] === "solana" ? "Solana" : "EVM", short(bet.player), choice(bet), amount(bet.stake, bet.asset)])
    row.append(element("td", cell));
  row.append(element("td", text, kind));
  const old = rows.get(key);
  if (old) old.replaceWith(row);
  else byId("bets").prepend(row);
  rows.set(key, row);
  while (rows.size > MOST_ROWS) {
    const [first, oldest] = rows.entries().next().value;
    oldest.remove();
    rows.delete(first);
  }
};

const card = (title, lines, kind) => {
  const made = element("div", undefined, "card");
  made.append(element("b", title, kind));
  for (const line of lines) made.append(element("small", line), element("br"));
  return made;
};

const totals = async () => {
  const said = await (await fetch("/api/casino/stats")).json();
  byId("totals").replaceChildren(
    card(`${said.players ?? 0} players`, []),
    ...(said.assets || []).map((sum) =>
      card(`${sum.bets} bets`, [`staked ${amount(sum.staked, sum.asset)}`, `paid ${amount(sum.paid, sum.asset)}`])));
};

const health = async () => {
  const said = await (await fetch("/health")).json();
  byId("line").replaceChildren(
    ...(said.sources || []).map((source) =>
      card(source.network, [`head ${source.head}, frontier ${source.frontier}, lag ${source.lag}`, source.error || "no error"], source.error ? "bad" : "won")),
    card("house", [`status ${said.status}`, `${said.outbox ? said.outbox.waiting : "?"} messages waiting, ${said.dead_letters ?? "?"} dead letters`]));
};

const listen = (url) => {
  const socket = new WebSocket(url);
  socket.onopen = () => {
    byId("state").textContent = "live";
    socket.send(JSON.stringify({ type: "subscribe", channels: ["bets", "stats"], since: places }));
  };
  socket.onmessage = (event) => {
    const said = JSON.parse(event.data);
    if (said.type.startsWith("bet.")) {
      places.bets = { epoch: said.epoch, seq: said.seq };
      show(said.data);
    }
    if (said.type === "stats.updated") {
      places.stats = { epoch: said.epoch, seq: said.seq };
      totals();
    }
    if (said.type === "subscribed" && said.recovered === false) recent();
  };
  socket.onclose = () => {
    byId("state").textContent = "reconnecting";
    setTimeout(() => listen(url), 1000 + Math.random() * 1000);
  };
};

const recent = async () => {
  const answer = await fetch(`/api/bets/recent?limit=${MOST_ROWS}`);
  if (answer.ok) for (const bet of (await answer.json()).items.reverse()) show(bet);
};

const begin = async () => {
  const line = await (await fetch("/api/line")).json();
  listen(line.feed_url);
  await Promise.all([recent(), totals(), health()]);
  setInterval(health, 2000);
};

begin().catch((error) => { byId("state").textContent = String(error); });
