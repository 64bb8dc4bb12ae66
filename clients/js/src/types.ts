/* The shapes of what comes over the wire, and of what a listener is told.
 *
 * Rule: types only, of which nothing is left in JavaScript. docs/wire.md says what each field means;
 * names are the wire's. Times are in milliseconds since 1970, durations (`retry_after`, `in_s`,
 * `reconnect_in`) in seconds.
 */

export type Role = "guest" | "user" | "vip" | "moderator" | "owner" | "admin";
export type Mode = "scroll" | "top" | "bottom" | "reverse";
export type Kind = "system" | "gift" | "superchat";

/** A message, whole: what the wire leaves out is put back. Its id is `epoch-seq`. */
export interface Message {
  room: string;
  seq: number;
  id: string;
  uid: string;
  name: string;
  text: string;
  color: number;
  mode: Mode;
  size: number;
  ts: number;
  kind?: Kind;
  avatar?: string;
  level?: number;
  badges?: string[];
  times?: number;
  data?: unknown;
}

/** A place of a room's numbering as a batch or a history has it: a message, what was done to some,
 *  or one that was taken back. */
export interface Place {
  seq?: number;
  ts?: number;
  t?: "delete" | "clear" | "state";
  removed?: true;
  target?: number;
  uid?: string;
  state?: RoomRules;
  name?: string;
  text?: string;
  color?: number;
  mode?: Mode;
  size?: number;
  kind?: Kind;
  avatar?: string;
  level?: number;
  badges?: string[];
  times?: number;
  data?: unknown;
}

/** A position in a room. */
export interface Since {
  epoch: string;
  seq: number;
  ts?: number;
}

export interface RoomRules {
  slow_s?: number;
  silence?: string;
  no_repeats_s?: number;
  min_role?: Role;
  pinned?: Message | null;
  announcement?: string | null;
  muted_until?: number;
}

/** An event as it comes; what it has depends on `t`. */
export interface WireEvent {
  t: string;
  [field: string]: any;
}

export interface Command {
  t: string;
  [field: string]: unknown;
}

export interface Welcome {
  t: "welcome";
  conn: string;
  uid: string;
  name: string;
  role: Role;
  heartbeat: number;
  v: number;
  /** The key by which a guest comes back as itself, also in a later session: as secret as a token. */
  guest?: string;
}

export interface Authed {
  t: "authed";
  uid: string;
  name: string;
  role: Role;
  expires: number;
}

export interface Ack {
  t: "ack";
  room: string;
  seq: number;
  id: string;
  ts: number;
}

export interface Done {
  t: "done";
  room: string;
  action: string;
}

export type Connection = "connecting" | "open" | "closed";

/** How the connection is doing. `closed`: not coming back by itself; `code` says why, a close code,
 *  or 0 where there was none. `returnAt`: when the next attempt is, by `performance.now()`. */
export interface ConnectionChange {
  state: Connection;
  reason?: string;
  code?: number;
  returnAt?: number;
}

export interface Joined {
  room: string;
  epoch: string;
  seq: number;
  online: number;
  recovered: boolean;
  state: RoomRules;
  likes: Record<string, number>;
  role?: Role;
}

export interface Messages {
  room: string;
  messages: Message[];
  /** They came with a `joined`: what was missed, or on a first visit the newest. */
  history: boolean;
}

/** `lost` places up to `seq` of `epoch` are missing; 0: nobody knows how many. `anew`: numbers began
 *  anew, so what is shown already has none any more. What is still kept of them `missed` gives. */
export interface Gap {
  room: string;
  epoch: string;
  seq: number;
  lost: number;
  anew: boolean;
}

/** Messages are taken back; `means` says whether one is meant. */
export type Removal = Delete | Clear;

export interface Delete {
  t: "delete";
  room: string;
  seq: number;
  target: number;
}

export interface Clear {
  t: "clear";
  room: string;
  seq: number;
  uid?: string;
}

/** A refusal. `again`: the client tries again by itself, some time after `retry_after`. */
export interface Refused {
  code: string;
  message?: string;
  retry_after?: number;
  room?: string;
  again: boolean;
}

export interface Notice {
  t: "notice";
  id: string;
  scope: "all" | "user";
  name: string;
  text: string;
  color: number;
  ts: number;
  kind?: Kind;
}

/** What `on` listens to. */
export interface Events {
  /** The connection's state changed. */
  connection: ConnectionChange;
  /** The first event of every connection. */
  welcome: Welcome;
  /** One is somebody else now, or has a newer token. */
  authed: Authed;
  /** The token ends in `in_s` seconds. Where `token` is a function, it is asked for a newer one. */
  expiring: { t: "expiring"; in_s: number };
  /** A room was entered, or entered again. What was missed follows as `messages`. */
  joined: Joined;
  /** A join was refused. Without `again` one is not in the room, until `join` or `retry`. */
  refused: Refused & { room: string };
  /** Sent out of a room, `kicked` or `banned`, maybe with `: ` and a moderator's words. */
  left: { room: string; reason: string };
  /** Messages of one batch, in order, each once. */
  messages: Messages;
  /** The same, one by one. */
  message: Message;
  /** A message is taken back: show it no more. `means` tells whether it is meant. */
  delete: Delete;
  /** All before it are taken back, or one user's. `means` tells whether a message is meant. */
  clear: Clear;
  /** The room's rules from now on, whole. */
  state: { room: string; state: RoomRules };
  /** Messages are missing. */
  gap: Gap;
  /** So many were said and not shown, because the room is crowded. */
  shed: { room: string; seq: number; count: number };
  online: { room: string; count: number };
  likes: { room: string; counts: Record<string, number> };
  joins: { room: string; kind: string; count: number; names: string[] };
  /** One's own mute: until when; 0 for good, absent for not any more. */
  muted: { room: string; until?: number; reason?: string };
  notice: Notice;
  /** The server closes next; the client comes back after `reconnect_in`. */
  bye: { t: "bye"; reason: string; reconnect_in: number };
  /** A message waits to be sent again (`again`), or an error that answers nothing one asked. */
  error: Refused;
}

/** How a payload is written. */
export interface Codec {
  /** The subprotocol. */
  protocol: string;
  encode(command: Command): string | Uint8Array<ArrayBuffer>;
  /** Throws where it is not what the protocol says. */
  decode(payload: string | ArrayBuffer): WireEvent[];
}

/** What is used of a WebSocket. */
export interface Socket {
  binaryType: string;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror?: ((event: any) => void) | null;
  send(payload: any): void;
  close(code?: number): void;
}

export type SocketClass = new (url: string, protocol: string) => any;

/** What a client takes from the world: a clock that never goes back (ms), chance, timers, sockets. */
export interface Env {
  now(): number;
  random(): number;
  setTimeout(run: () => void, ms: number): any;
  clearTimeout(timer: any): void;
  connect(url: string, protocol: string): Socket;
  /** Told that the network is there or gone; gives what ends that. */
  watch(network: { online(): void; offline(): void }): () => void;
}

/** A token, or what gives one: it is asked for every connection, and again when the last one ends.
 *  Nothing, or "", is a guest. */
export type Token = string | null | undefined | TokenSource;
export type TokenSource = () => string | null | undefined | Promise<string | null | undefined>;

export interface Options {
  rooms?: Iterable<string>;
  token?: Token;
  /** The key of a `welcome` of an earlier session. */
  guest?: string;
  /** What a guest would like to be called. */
  name?: string;
  /** The messages that may wait to be acknowledged, all rooms together. One more is refused. */
  queue?: number;
  /** JSON unless another is given, such as that of `danmaku-client/msgpack`. */
  codec?: Codec;
  /** The class to use where there is no global one, such as that of `ws` in Node before 22. */
  WebSocket?: SocketClass;
  /** For tests. */
  env?: Partial<Env>;
}

export interface SendOptions {
  color?: number;
  mode?: Mode;
  size?: number;
  kind?: Kind;
  /** One's own name for the message, up to 64 characters: the same one is never published twice. */
  id?: string;
}
