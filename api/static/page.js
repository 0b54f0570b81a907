// The page: bets as they come, sums as they change, and how the line is.
"use strict";

const MOST_ROWS = 50;
const LOOK_MS = 2000;
const AGAIN_MS = 1000;
const ENDED = ["settled", "refunded"];
const COINS = { 60: [18, "ETH"], 501: [9, "SOL"] };
const byId = (id) => document.getElementById(id);
const rows = new Map(); // bet id -> its row, newest first in the table
const places = {}; // channel -> how far we heard, so that nothing is missed when we come back
const waiting = { feed: "connecting", house: "" }; // what each part is waited for with; empty when well
let held; // messages that come while the newest bets are being read: they are told after those

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
  if (/^0+$/.test(whole + part) && /[1-9]/.test(digits)) return `<${sign}0.00001 ${symbol}`;
  return `${sign}${whole}${part ? `.${part}` : ""} ${symbol}`;
};

const choice = ({ choice: chosen }) =>
  chosen && chosen.low !== undefined ? `${chosen.low}–${chosen.high - 1}` : JSON.stringify(chosen ?? "");

const clock = (time) => (time ? new Date(time).toLocaleTimeString([], { hour12: false }) : "");

const result = (bet) => {
  if (bet.status === "placed") return ["waits", "quiet"];
  if (bet.status !== "settled") return [bet.status, "bad"];
  const roll = bet.outcome && bet.outcome.roll !== undefined ? `${bet.outcome.roll} · ` : "";
  return bet.payout === "0" ? [`${roll}lost`, ""] : [`${roll}won ${amount(bet.payout, bet.asset)}`, "won"];
};

const drawn = (bet, kind) => {
  const row = element("tr", undefined, kind);
  row.dataset.bet = bet.id;
  row.dataset.status = bet.status;
  row.title = bet.tx || "";
  const [text, colour] = result(bet);
  row.append(
    element("td", bet.network.startsWith("solana:") ? "Solana" : "EVM"),
    element("td", clock(bet.placed_at), "wide quiet"),
    element("td", short(bet.player), "wide"),
    element("td", choice(bet)),
    element("td", amount(bet.stake, bet.asset), "number"),
    element("td", text, `number ${colour}`),
  );
  return row;
};

const show = (bet, kind) => {
  const old = rows.get(bet.id);
  const row = drawn(bet, kind);
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

// Every message says what stands now, and the last one is right: an ending that the chain took back
// leaves its bet placed. Only a placing that was read already with its ending is old news.
const tell = (type, bet) => {
  if (held) return held.push([type, bet]);
  const known = rows.get(bet.id)?.dataset.status;
  if (type !== "bet.placed" || !ENDED.includes(known)) show(bet, "new");
};

const card = (title, facts, kind = "") => {
  const made = element("div", undefined, `card ${kind}`);
  const list = element("dl");
  for (const [name, value] of facts) list.append(element("dt", name), element("dd", String(value ?? "?")));
  made.append(element("h3", title), list);
  return made;
};

// A browser's own copy is never believed without asking whether it still holds.
const read = async (path) => {
  const answer = await fetch(path, { cache: "no-cache" });
  if (!answer.ok && path !== "/health") throw new Error(`${path} says ${answer.status}`);
  return answer.json();
};

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
  );
  byId("players").textContent = `by ${said.players} ${said.players === 1 ? "player" : "players"}`;
};

const health = async () => {
  const said = await read("/health");
  const under = Object.values(said.pages || {}).reduce((sum, { pages }) => sum + pages, 0);
  const sources = (said.sources || []).sort((one, other) => (one.network < other.network ? -1 : 1));
  byId("line").replaceChildren(
    ...sources.map((source) =>
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
      ["processes", (said.processes || []).reduce((sum, { live }) => sum + live, 0)],
    ], said.status === "ok" ? "house" : "house bad"),
  );
  byId("troubles").replaceChildren(...(said.troubles || []).map((trouble) => element("li", trouble)));
};

// A countdown runs by the house's clock, whatever this machine's says.
const clocks = new Map(); // table -> when its round opens and closes, and how far that clock is ahead
const countdown = () => {
  for (const shown of byId("tables").children) {
    const times = clocks.get(shown.dataset.table);
    if (!times) continue;
    const now = Date.now() + times.ahead;
    const [words, until] = now < times.opens ? ["opens in", times.opens] : ["closes in", times.closes];
    shown.querySelector(".clock").textContent = until > now ? `${words} ${((until - now) / 1000).toFixed(1)} s` : "drawing";
  }
};

// Makes what is shown equal to what was made anew, in place: what is focused or selected stays so.
const renew = (shown, made) => {
  if (shown.nodeName !== made.nodeName || shown.childNodes.length !== made.childNodes.length) {
    shown.replaceWith(made);
    return;
  }
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== made.data) shown.data = made.data;
    return;
  }
  for (const name of shown.getAttributeNames()) if (!made.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of made.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  const parts = [...made.childNodes];
  [...shown.childNodes].forEach((part, at) => renew(part, parts[at]));
};

const link = (text, to) => {
  const made = element("a", text);
  made.href = to;
  return made;
};

const outcome = (last) => {
  if (!last) return "none yet";
  if (last.result === null) return last.state;
  return Array.isArray(last.result) ? [...last.result].sort((one, other) => one - other).join(" ") : last.result;
};

const table = async (one) => {
  const { items } = await read(`/api/rounds/recent?table=${one.table}&limit=5`);
  const last = items.find(({ result }) => result !== null);
  const made = card(one.table, [
    ["last result", outcome(last || items[0])],
    ["bets", one.round ? one.round.bets : "–"],
  ], one.trouble || one.paused ? "round bad" : "round");
  made.dataset.table = one.table;
  const [committed, proved] = [element("span"), element("span")];
  if (one.round) {
    const tx = element("code", one.round.tx, "tx"); // whole for who copies it; its style shortens what is shown
    [tx.title, tx.tabIndex] = [one.round.tx, 0];
    committed.append(`round ${one.round.number}, committed in `, tx);
    const times = [one.round.opens_at, one.round.closes_at, one.round.server_time].map(Date.parse);
    clocks.set(one.table, { opens: times[0], closes: times[1], ahead: times[2] - Date.now() });
  } else clocks.delete(one.table);
  if (last) {
    const proof = `/verify?proof=${encodeURIComponent(`/api/rounds/${last.id}/proof`)}`;
    proved.append(one.round ? " · " : "", link(`verify round ${last.round}`, proof));
  }
  const told = element("p", undefined, "quiet");
  told.append(committed, proved);
  made.append(element("p", one.paused ? "stopped" : "no round", "clock"), told);
  return made;
};

const tables = async () => {
  const { items } = await read("/api/tables");
  const made = await Promise.all(items.map(table));
  byId("rounds").hidden = !made.length;
  const shown = [...byId("tables").children];
  const names = (cards) => cards.map(({ dataset }) => dataset.table).join();
  if (names(shown) === names(made)) made.forEach((one, at) => renew(shown[at], one));
  else byId("tables").replaceChildren(...made);
  countdown();
};

// The newest bets as they are now, in the place of whatever was shown, then what came meanwhile.
const recent = async () => {
  const mine = (held = []);
  try {
    const { items } = await read(`/api/bets/recent?limit=${MOST_ROWS}`);
    if (held !== mine) return;
    rows.clear();
    byId("bets").replaceChildren();
    byId("none").hidden = false;
    for (const bet of items.reverse()) show(bet);
    held = undefined;
    for (const [type, bet] of mine) tell(type, bet);
  } catch {
    setTimeout(() => held === mine && recent(), AGAIN_MS);
  }
};

const wait = (part, words) => {
  waiting[part] = words;
  const text = waiting.house || waiting.feed;
  byId("live").dataset.state = text ? "waiting" : "live";
  byId("live").textContent = text || "live";
};

const heard = ({ type, channel, channels, data, epoch, seq, recovered }) => {
  if (type === "subscribed") wait("feed", "");
  if (type === "gap" || (type === "subscribed" && recovered !== true)) {
    const name = channel || channels[0];
    places[name] = { epoch, seq };
    if (name === "bets") recent();
    else totals().catch(() => {});
  } else if (type.startsWith("bet.")) {
    places.bets = { epoch, seq };
    tell(type, data);
  } else if (type.startsWith("stats.")) {
    places.stats = { epoch, seq };
    totals().catch(() => {});
  }
};

const listen = (url) => {
  const socket = new WebSocket(url);
  const since = Object.keys(places).length ? { since: places } : {};
  socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", channels: ["bets", "stats"], ...since }));
  socket.onmessage = ({ data }) => heard(JSON.parse(data));
  socket.onclose = () => {
    wait("feed", "reconnecting");
    setTimeout(() => listen(url), 500 + Math.random() * 1000);
  };
};

// Looks again and again; a house that does not answer is asked again, and said to be silent.
const look = async () => {
  try {
    await Promise.all([health(), totals(), tables()]);
    wait("house", "");
  } catch {
    wait("house", "no answer");
  }
  setTimeout(look, LOOK_MS);
};

const begin = async () => {
  try {
    listen((await read("/api/line")).feed_url);
  } catch {
    setTimeout(begin, AGAIN_MS);
  }
};

begin();
look();
setInterval(countdown, 100);
