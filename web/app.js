/* The page: which element shows what, and what a click does.
 *
 * Rule: wiring only. The connection is clients/js, what flies is its stage/, what is listed is chat.js,
 * what is being typed is composer.js.
 * The address bar is the page's configuration: ?room= (default "lobby"), #token= (in the hash, so it
 * reaches no server log on the way to the page). It cannot name another server, see address.js.
 */

import { Likes, WHITE, connect, rank } from "../clients/js/src/index.js";
import { Stage } from "../clients/js/src/stage/stage.js";
import { actionsFor } from "./actions.js";
import { roomIn, serverUrl, tokenIn } from "./address.js";
import { Backdrop } from "./backdrop.js";
import { ChatList } from "./chat.js";
import { Composer } from "./composer.js";
import { Menu } from "./menu.js";
import { RoomState } from "./roomstate.js";
import { servedRules } from "./rules.js";
import { StateBar } from "./statebar.js";
import { remember, store } from "./store.js";

const RECENT_ROOMS = 8;
const FRESH_MS = 5000; // history older than this is listed, not flown
const RATE_WINDOW_S = 3;
const TOLD_MS = 4000;
const LIKE = "like"; // the kind of the page's button

const $ = (id) => document.getElementById(id);
const served = document.querySelector('meta[name="danmaku-ws"]').content;
const rules = servedRules();

const token = tokenIn(location);

const chat = new ChatList({
  list: $("chat"), pill: $("newer"), template: $("message"), onPress: openMenu,
});
const menu = new Menu({ menu: $("menu"), home: $("chat") });
const roomState = new RoomState();
const stateBar = new StateBar($("rules-now"));
const stage = new Stage({ stage: $("stage"), sky: $("sky") });
new Backdrop($("backdrop"));

const composer = new Composer({ form: $("composer"), send, rules });
let myName = "";
let myRole = "guest"; // everywhere
let myRoleHere; // in the room, where it is another
let counted = 0;

let here = roomIn(location);
let outBecause = ""; // of `here`

const client = connect(serverUrl(location, served), {
  rooms: [here], token, guest: store.guest, name: store.nick,
});
/* One room at a time: what another still tells is old. */
const onHere = (name, listener) => client.on(name, (event) => event.room === here && listener(event));

client.on("connection", (change) => {
  if (change.state !== "open") showConnection(change); // open is who is in the room
  else if (outBecause) showOut();
});
client.on("welcome", (event) => {
  if (event.guest) remember({ guest: event.guest });
  showMe(event);
});
client.on("authed", showMe);
client.on("error", (error) => composer.complain(error));
client.on("notice", (event) => {
  const notice = { color: WHITE, ...event, kind: "notice", mode: "top", size: 25 };
  chat.add([notice], () => false);
  fly([notice]);
});
onHere("joined", ({ online, state, role, likes: counts }) => {
  outBecause = "";
  showConnection({ state: "open" });
  myRoleHere = role;
  showMe();
  roomState.joined(state, performance.now(), Date.now());
  showState();
  showOnline(online);
  likes.enter(counts[LIKE] ?? 0);
  composer.settle();
});
onHere("refused", (refusal) => {
  if (refusal.code === "banned") return sentOut(refusal.message);
  if (!refusal.again) showConnection({ state: "open" });
  return composer.complain(refusal);
});
onHere("left", ({ reason }) => sentOut(reason));
onHere("messages", ({ messages, history }) => {
  if (!history) counted += messages.length;
  chat.add(messages, isOwn);
  const wall = Date.now();
  fly(history ? messages.filter(({ ts }) => Math.abs(wall - ts) < FRESH_MS) : messages);
});
for (const name of ["delete", "clear"]) {
  onHere(name, (event) => {
    chat.remove(event, isOwn(event.uid));
    stage.remove(event);
  });
}
onHere("shed", ({ count }) => stage.missed(count));
onHere("gap", ({ lost, anew }) => {
  if (anew) {
    chat.restart();
    stage.renumber();
  }
  chat.divide(missedText(lost));
});
onHere("state", ({ state }) => {
  roomState.ruled(state);
  showState();
});
onHere("muted", ({ until }) => {
  roomState.muted(until, performance.now(), Date.now());
  showState();
});
onHere("online", ({ count }) => showOnline(count));
onHere("likes", ({ counts }) => likes.told(counts[LIKE] ?? 0));
onHere("joins", showJoins);

const likes = new Likes({
  async send(count) {
    try {
      await client.like(here, { count });
    } catch (error) {
      composer.complain(error);
      throw error;
    }
  },
  show: (total) => ($("likes").textContent = total.toLocaleString("en")),
});

function isOwn(uid) {
  return client.isOwn(uid);
}

async function send({ text, ...style }) {
  const room = here;
  const entry = { text, ...style };
  chat.pend(entry, myName);
  try {
    const delivered = await client.send(room, text, style);
    if (room !== here) return;
    chat.settle(entry, delivered);
    roomState.spoke(performance.now());
  } catch (error) {
    if (room !== here) return;
    roomState.refused(error, performance.now());
    chat.fail(entry, composer.giveBack(text, error));
  }
}

function fly(messages) {
  for (const message of messages) stage.offer(message, isOwn(message.uid));
}

function missedText(count) {
  if (count === 1) return "1 message was missed";
  return `${count || "Some"} messages were missed`; // 0: nobody knows
}

function leftText(reason) {
  const [, kind, words] = /^(banned|kicked)(?:: (.*))?$/su.exec(reason) ?? [null, "banned", ""];
  const told = kind === "kicked" ? "You were sent out of this room" : "You are banned from this room";
  return words ? `${told}: ${words}` : told;
}

// -- who one is

function roleHere() {
  return myRoleHere ?? myRole;
}

function showMe({ name, role } = { name: myName, role: myRole }) {
  myName = name;
  myRole = role;
  const here = roleHere();
  roomState.role = here;
  $("me").textContent = rank(here) > rank("user") ? `${name} · ${here}` : name;
  $("me").disabled = role !== "guest";
  $("me").title = role === "guest" ? "Choose a name" : "";
}

function openNick(open) {
  $("nick-form").hidden = !open;
  $("me").setAttribute("aria-expanded", open);
  $("nick").value = store.nick ?? "";
  (open ? $("nick") : $("me")).focus();
}

$("me").addEventListener("click", () => openNick($("nick-form").hidden));
$("nick-form").addEventListener("keydown", ({ key }) => key === "Escape" && openNick(false));
$("nick-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = rules.clean($("nick").value);
  try {
    await client.rename(name);
    remember({ nick: name });
    openNick(false);
  } catch (error) {
    composer.complain(error);
  }
});

// -- what may be done about a message

function openMenu(message, from) {
  const own = isOwn(message.uid);
  const may = { own, role: roleHere(), pinned: roomState.pinned };
  const items = actionsFor(message, may).map(({ label, told, command }) => ({
    label,
    run: () => client.ask({ ...command, room: here }).then(() => tell(told), (error) => composer.complain(error)),
  }));
  if (items.length) menu.show(from, `Message of ${message.name}`, items);
  return items.length > 0;
}

let toldTimer;

function tell(text) {
  clearTimeout(toldTimer);
  $("told").textContent = text;
  toldTimer = setTimeout(() => ($("told").textContent = ""), TOLD_MS);
}

let cameTimer;

function showJoins({ count, names }) {
  const others = count - names.length;
  const parts = others > 0 ? [...names, `${others}${names.length ? " more" : ""}`] : names;
  const last = parts.pop();
  clearTimeout(cameTimer);
  $("came").textContent = `${parts.length ? `${parts.join(", ")} and ` : ""}${last} came in`;
  cameTimer = setTimeout(() => ($("came").textContent = ""), TOLD_MS);
}

function showState() {
  stateBar.show(roomState.lines(performance.now()));
}

// -- the address bar

function showRoom(room) {
  document.title = `#${room} · Danmaku`;
  $("room").value = room;
  const good = judgeRoom(room);
  const rooms = [room, ...(store.rooms ?? []).filter((other) => other !== room)].slice(good ? 0 : 1);
  remember({ rooms: rooms.slice(0, RECENT_ROOMS) });
  $("rooms").replaceChildren(...store.rooms.map((name) => new Option(name, name)));
}

/** Say what is wrong with a room's name, if anything is. */
function judgeRoom(room) {
  const good = rules.allowsRoom(room);
  $("room-problem").textContent = good ? "" : rules.roomRule;
  $("room-problem").hidden = good;
  return good;
}

function enter(room) {
  if (room === here) return;
  client.leave(here);
  here = room;
  outBecause = "";
  chat.clear();
  stage.clear();
  composer.settle();
  showOnline(0);
  likes.leave();
  $("came").textContent = "";
  client.join(room);
  menu.close();
  roomState.clear();
  showState();
  myRoleHere = undefined;
  showMe();
  showRoom(room);
}

$("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("room").value.trim().replace(/^#/, "");
  if (!judgeRoom(room)) return;
  const address = new URL(location.href);
  address.searchParams.set("room", room);
  if (room !== here) history.pushState(null, "", address);
  enter(room);
  $("input").focus();
});
$("room").addEventListener("focus", () => $("room").select());
$("room").addEventListener("blur", () => {
  if (rules.allowsRoom($("room").value)) $("room-problem").hidden = true;
});
window.addEventListener("popstate", () => enter(roomIn(location)));

// -- how the connection is doing

let returnAt = 0;

function showConnection({ state, reason = "", returnAt: at = 0 }) {
  returnAt = at;
  $("connection").dataset.state = state;
  $("connection").title = reason;
  $("retry").hidden = state !== "closed";
  const trying = at ? "Reconnecting" : "Connecting";
  const words = { open: "Connected", connecting: trying, closed: reason };
  $("connection-text").textContent = words[state];
  showReturn();
}

function sentOut(reason) {
  outBecause = reason;
  showOut();
  roomState.clear();
  showState();
}

function showOut() {
  showConnection({ state: "closed", reason: leftText(outBecause) });
}

function showReturn() {
  const seconds = Math.ceil((returnAt - performance.now()) / 1000);
  $("connection-when").textContent = seconds > 0 ? ` in ${seconds} s` : "";
}

function showOnline(count) {
  $("online").textContent = count.toLocaleString("en");
}

$("retry").addEventListener("click", () => client.retry());
$("like").addEventListener("click", () => likes.tap());

// -- how the stage looks

function showStage() {
  const { on = true, opacity = 100, density = 100 } = store.view ?? {};
  $("danmaku-on").setAttribute("aria-checked", on);
  $("quiet").hidden = on;
  $("opacity").value = opacity;
  $("density").value = density;
  stage.set({ on, opacity: opacity / 100, area: density / 100 });
}

function setView(change) {
  remember({ view: { ...store.view, ...change } });
  showStage();
}

$("danmaku-on").addEventListener("click", () => setView({ on: !(store.view?.on ?? true) }));
$("opacity").addEventListener("input", () => setView({ opacity: Number($("opacity").value) }));
$("density").addEventListener("input", () => setView({ density: Number($("density").value) }));

// -- once a second, and the start

const perSecond = new Array(RATE_WINDOW_S).fill(0);

setInterval(() => {
  perSecond.shift();
  perSecond.push(counted);
  counted = 0;
  const rate = perSecond.reduce((sum, count) => sum + count, 0) / RATE_WINDOW_S;
  $("rate").textContent = rate >= 10 || rate === 0 ? Math.round(rate) : rate.toFixed(1);
  chat.setRate(rate);
}, 1000);
setInterval(() => {
  showReturn();
  showState();
  composer.tick();
}, 250);

showStage();
showRoom(here);
