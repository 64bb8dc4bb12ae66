/* The page: which element shows what, and what a click does.
 *
 * Rule: wiring only. The connection is clients/js, what flies is its stage/, what is listed is chat.js,
 * what is being typed is composer.js, what is known of a room is place.js.
 * The address bar is the page's configuration: ?room= (default "lobby"; several are tabs), ?lang=, and
 * #token= (in the hash, so it reaches no server log on the way to the page; a newer one there is shown
 * to the server at once). It cannot name another server, see address.js.
 */

import { WHITE, connect } from "../clients/js/src/index.js";
import { Hands } from "../clients/js/src/stage/hands.js";
import { Stage } from "../clients/js/src/stage/stage.js";
import { actionsFor } from "./actions.js";
import { roomsIn, serverUrl, tokenIn } from "./address.js";
import { Backdrop } from "./backdrop.js";
import { ChatList } from "./chat.js";
import { Composer } from "./composer.js";
import { showFilm } from "./film.js";
import { number, say, unsay, words } from "./i18n.js";
import { Look } from "./look.js";
import { Me } from "./me.js";
import { epochOf } from "./line.js";
import { Menu, said } from "./menu.js";
import { Place } from "./place.js";
import { servedRules } from "./rules.js";
import { StateBar } from "./statebar.js";
import { Status } from "./status.js";
import { openRooms, remember, rememberOpen, store } from "./store.js";
import { Tabs } from "./tabs.js";
import { followViewport } from "./viewport.js";

const RECENT_ROOMS = 8;
const MOST_OPEN = 12;
const MOST_HELD = 999;
const FRESH_MS = 5000; // history older than this is listed, not flown
const RATE_WINDOW_S = 3;
const TOLD_MS = 4000;
const LIKE = "like"; // the kind of the page's button

const $ = (id) => document.getElementById(id);
const served = document.querySelector('meta[name="danmaku-ws"]').content;
const rules = servedRules();

new Look({ language: $("language"), theme: $("theme") });
followViewport(document.documentElement);

const menu = new Menu({ menu: $("menu"), home: () => here.chat.element });
const stateBar = new StateBar($("rules-now"));
const status = new Status({
  box: $("connection"), text: $("connection-text"), when: $("connection-when"), retry: $("retry"),
});
const tabs = new Tabs({
  list: $("tabs"), close: $("close-room"), panel: $("panel"), on: { choose: go, close: closeRoom },
});
const stage = new Stage({ stage: $("stage"), sky: $("sky") });
stage.words = (share) => words("stage.left", { share: number(share, { style: "percent" }) });
new Hands({ sky: $("sky"), fliers: stage.fliers, menu, about: aboutFlying });
const lake = new Backdrop($("backdrop"));
showFilm($("film"), document.querySelector('meta[name="danmaku-video"]').content, {
  turn: (rate) => stage.turn(rate), shown: () => lake.end(),
});

const composer = new Composer({ form: $("composer"), send, rules });
const me = new Me({
  button: $("me"), form: $("nick-form"), input: $("nick"), rename, complain: (error) => composer.complain(error),
});
let myName = "";
let myRole = "guest"; // everywhere
let counted = 0;

const places = new Map(); // room -> Place, in the order of the tabs
let here; // the place that is seen

const asked = roomsIn(location);
const first = [...new Set([...openRooms(), ...asked])].slice(0, MOST_OPEN);
if (!first.includes(asked[0])) first[0] = asked[0];

const client = connect(serverUrl(location, served), {
  rooms: first, token: tokenIn(location), guest: store.guest, name: store.nick,
});
const inRoom = (name, listener) => client.on(name, (event) => {
  const place = places.get(event.room);
  if (place) listener(place, event);
});

client.on("connection", (change) => {
  if (change.state !== "open") status.show(change); // open is who is in the room
  else if (here.out) status.showOut(here.out);
});
client.on("welcome", (event) => {
  if (event.guest) remember({ guest: event.guest });
  showMe(event);
});
client.on("authed", showMe);
client.on("expiring", ({ in_s: seconds }) => tell(["expiring", { time: { seconds } }]));
client.on("error", (error) => {
  if (!error.room || error.room === here.room) composer.complain(error);
});
client.on("notice", (event) => {
  const notice = { color: WHITE, ...event, kind: "notice", mode: "top", size: 25 };
  for (const { chat } of places.values()) chat.add([notice], () => false);
  fly([notice]);
});
inRoom("joined", (place, event) => {
  place.joined(event, performance.now(), Date.now());
  place.likes.enter(event.likes[LIKE] ?? 0);
  if (place !== here) return;
  showPlace();
  composer.settle();
});
inRoom("refused", (place, refusal) => {
  if (refusal.code === "banned") return sentOut(place, "banned");
  place.refusal = refusal;
  if (place === here) showRefusal();
});
inRoom("left", (place, { reason }) => sentOut(place, reason));
inRoom("messages", (place, { messages, history }) => {
  place.chat.add(messages, isOwn);
  if (place !== here) return history ? undefined : showUnread(place, place.unread + messages.length);
  if (!history) counted += messages.length;
  const wall = Date.now();
  return fly(history ? messages.filter(({ ts }) => Math.abs(wall - ts) < FRESH_MS) : messages);
});
for (const name of ["delete", "clear"]) {
  inRoom(name, (place, event) => {
    place.chat.remove(event, isOwn(event.uid));
    if (place === here) stage.remove(event);
  });
}
inRoom("shed", (place, { count }) => {
  if (place === here) stage.missed(count);
});
inRoom("gap", (place, { lost, anew }) => {
  if (anew) {
    place.chat.restart();
    if (place === here) stage.renumber();
  }
  if (lost) place.chat.divide("missed", { count: lost });
  else place.chat.divide("missed.some"); // nobody knows how many
});
inRoom("state", (place, { state }) => {
  place.state.ruled(state);
  showState();
});
inRoom("muted", (place, { until }) => {
  place.state.muted(until, performance.now(), Date.now());
  showState();
});
inRoom("online", (place, { count }) => {
  place.online = count;
  showOnline();
});
inRoom("likes", ({ likes }, { counts }) => likes.told(counts[LIKE] ?? 0));
inRoom("joins", (place, event) => place === here && showJoins(event));

function isOwn(uid) {
  return client.isOwn(uid);
}

async function send({ text, ...style }) {
  const place = here;
  const entry = { text, ...style };
  place.chat.pend(entry, myName);
  try {
    const delivered = await client.send(place.room, text, style);
    place.chat.settle(entry, delivered);
    place.state.spoke(performance.now());
  } catch (error) {
    place.state.refused(error, performance.now());
    const barred = error.code === "forbidden" && place.state.barred;
    const why = barred ? { code: "min_role" } : error;
    place.chat.fail(entry, place === here && composer.giveBack(text, why));
  }
}

function fly(messages) {
  for (const message of messages) stage.offer(message, isOwn(message.uid));
}

// -- the rooms one is in

function placeOf(room) {
  const list = $("log").content.firstElementChild.cloneNode(true);
  const chat = new ChatList({
    list,
    template: $("message"),
    ask: async (options) => {
      const page = await client.history(room, options);
      return { ...page, messages: page.messages.map((message) => ({ ...message, own: isOwn(message.uid) })) };
    },
    on: { press: openMenu, held: showHeld, leave: () => $("input").focus() },
  });
  const like = (count) => client.like(room, { count }).catch((error) => {
    composer.complain(error);
    throw error;
  });
  return new Place({ room, chat, like, shown: showLikes });
}

/** See a room, and be in it. */
function enter(room) {
  if (room === here?.room) return;
  if (here) {
    here.typed = composer.typed;
    here.chat.hide();
    if (!rules.allowsRoom(here.room)) forget(here.room);
  }
  if (!places.has(room)) {
    places.set(room, placeOf(room));
    client.join(room);
  }
  here = places.get(room);
  $("panel").querySelector("#chat")?.remove();
  $("panel").prepend(here.chat.element);
  stage.clear();
  menu.close(true);
  composer.settle();
  composer.typed = here.typed;
  unsay($("came"));
  rememberOpen([...places.keys()]);
  tabs.show([...places.keys()], room);
  showUnread(here, 0);
  here.chat.show();
  showPlace();
  showRoom(room);
}

function showPlace() {
  if (here.out) status.showOut(here.out);
  else if (client.isIn(here.room)) status.show({ state: "open" });
  else if (here.refusal) showRefusal();
  else status.show({ state: client.state === "open" ? "connecting" : client.state });
  showMe();
  showState();
  showOnline();
  showLikes(here);
}

function showRefusal() {
  if (!here.refusal.again) status.show({ state: "open" });
  composer.complain(here.refusal);
}

function sentOut(place, reason) {
  place.sentOut(reason);
  if (place !== here) return;
  status.showOut(reason);
  showState();
}

function forget(room) {
  client.leave(room);
  places.get(room).close();
  places.delete(room);
}

/** Leave a room, and see the one beside it. */
function closeRoom(room) {
  const rooms = [...places.keys()];
  if (rooms.length < 2) return;
  const at = rooms.indexOf(room);
  if (room === here.room) go(rooms[at + 1] ?? rooms[at - 1]);
  if (places.has(room)) forget(room);
  rememberOpen([...places.keys()]);
  tabs.show([...places.keys()], here.room);
}

// -- who one is

function roleHere() {
  return here.role ?? myRole;
}

function showMe({ name, role } = { name: myName, role: myRole }) {
  myName = name;
  myRole = role;
  here.state.role = roleHere();
  if (name) me.show({ name, role, here: roleHere() });
}

async function rename(typed) {
  const name = rules.clean(typed);
  await client.rename(name);
  return name;
}

window.addEventListener("hashchange", () => {
  const token = tokenIn(location);
  if (token) client.authenticate(token).catch((error) => composer.complain(error));
});

// -- what may be done about a message

function itemsFor(message) {
  const place = here;
  const may = { own: isOwn(message.uid), role: roleHere(), pinned: place.state.pinned };
  return actionsFor(message, may).map(({ label, told, command }) => ({
    label,
    run: () => client.ask({ ...command, room: place.room }).then(() => tell(told), (error) => composer.complain(error)),
  }));
}

function openMenu(message, from) {
  const items = itemsFor(message);
  if (items.length) menu.showAt(from, ["menu.of", { name: message.name }], items);
  return items.length > 0;
}

/** The same of a line that flies. */
function aboutFlying(message) {
  const items = itemsFor({ ...message, epoch: message.seq && epochOf(message.id) });
  return { subject: words("menu.of", { name: message.name }), items: said(items) };
}

/** Show for a moment what some line says. */
function passing(element) {
  let timer;
  return (key, values) => {
    clearTimeout(timer);
    say(element, key, values);
    timer = setTimeout(() => unsay(element), TOLD_MS);
  };
}

const showTold = passing($("told"));
const showCame = passing($("came"));

function tell([key, values]) {
  showTold(key, values);
}

function showJoins({ count, names }) {
  const others = count - names.length;
  const more = { key: names.length ? "came.more" : "came.people", count: others };
  showCame("came", { who: others > 0 ? [...names, more] : names });
}

function showState() {
  const now = performance.now();
  stateBar.show(here.state.lines(now));
  composer.wait = here.state.wait(now);
}

function showOnline() {
  say($("online"), "number", { count: here.online });
}

function showLikes(place) {
  if (place === here) say($("likes"), "number", { count: place.liked });
}

function showHeld(count) {
  $("newer").hidden = count === 0;
  if (count > MOST_HELD) say($("newer"), "chat.newer.many", { most: MOST_HELD });
  else if (count) say($("newer"), "chat.newer", { count });
}

function showUnread(place, unread) {
  place.unread = unread;
  tabs.count(place.room, unread);
}

// -- the address bar

function showRoom(room) {
  document.title = `#${room} · Danmaku`;
  $("title").textContent = `#${room}`;
  $("room").value = room;
  const good = judgeRoom(room);
  const rooms = [room, ...(store.rooms ?? []).filter((other) => other !== room)].slice(good ? 0 : 1);
  remember({ rooms: rooms.slice(0, RECENT_ROOMS) });
  $("rooms").replaceChildren(...store.rooms.map((name) => new Option(name, name)));
}

/** Say what is wrong with a room's name, if anything is. */
function judgeRoom(room) {
  const good = rules.allowsRoom(room);
  const full = good && !places.has(room) && places.size >= MOST_OPEN;
  if (full) say($("room-problem"), "rooms.many");
  else if (!good) say($("room-problem"), "room.rule", { most: rules.roomChars });
  $("room-problem").hidden = good && !full;
  return good && !full;
}

/** See a room, which the address bar then names. */
function go(room) {
  const address = new URL(location.href);
  address.searchParams.set("room", room);
  if (room !== here.room) history.pushState(null, "", address);
  enter(room);
}

$("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const room = $("room").value.trim().replace(/^#/, "");
  if (!judgeRoom(room)) return;
  go(room);
  $("input").focus();
});
$("room").addEventListener("focus", () => $("room").select());
$("room").addEventListener("blur", () => {
  if (rules.allowsRoom($("room").value)) $("room-problem").hidden = true;
});
window.addEventListener("popstate", () => enter(roomsIn(location)[0]));
$("retry").addEventListener("click", () => client.retry());
$("like").addEventListener("click", () => here.likes.tap());
$("newer").addEventListener("click", () => {
  here.chat.follow();
  here.chat.element.focus();
});

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
  const shown = rate >= 10 ? Math.round(rate) : Math.round(rate * 10) / 10;
  say($("rate"), "number", { count: shown });
  here.chat.setRate(rate);
}, 1000);
setInterval(() => {
  status.tick();
  showState();
  composer.tick();
}, 250);

for (const room of first) places.set(room, placeOf(room));
showStage();
enter(asked[0]);
