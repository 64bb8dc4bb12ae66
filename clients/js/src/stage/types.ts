/* The shapes of what a stage is given and gives. Rule: types only. docs/embed.md says what each is for. */

import type { Client } from "../client.js";
import type { Ack, Kind, Message, Mode, Options, SendOptions } from "../types.js";

/** What a viewer does not want to see. */
export interface Filters {
  /** Parts of a text, in any case; or RegExps. */
  words?: (string | RegExp)[];
  modes?: Mode[];
  /** Their uids. */
  users?: string[];
}

/** How the lines look. Numbers out of their bounds are brought within. */
export interface Look {
  /** Whether any fly. */
  on: boolean;
  /** 0.25 to 4: how fast they fly, 1 being usual. */
  speed: number;
  /** 0.1 to 1: the share of the stage, from its top, that they fly in. */
  area: number;
  /** 0 to 1. */
  opacity: number;
  /** 0.5 to 2: of the letters. */
  size: number;
  /** 0.1 to 1: how much of a lane may be text. */
  density: number;
  /** How long a line may wait for a lane before it is left out, ms up to 10,000. */
  patience: number;
  /** For who asked for less motion: lines stand at "fixed" places, or are "off". */
  still: "fixed" | "off";
}

/** A message as a line of the stage. */
export interface Line {
  message: Message;
  text: string;
  /** Whose, where that is said before it. */
  who: string;
  color: number;
  size: number;
  mode: string;
  kind: Kind | "chat" | "notice" | string;
  look: "plain" | "fixed" | "own" | "house";
  /** One's own, and what has a kind. */
  first: boolean;
}

/** What flew and what did not, since the start; `share` is what was left out in the last ten seconds. */
export interface Stats {
  flown: number;
  /** Here, because no lane came free in time, and by the server, because the room is crowded. */
  left_out: number;
  share: number;
  filtered: number;
  flying: number;
  waiting: number;
}

/** One more thing to do about a message. */
export interface MenuItem {
  label: string;
  run(): unknown;
}

export interface MountOptions extends Partial<Look>, Omit<Options, "rooms"> {
  /** Of the WebSocket, `wss://host/ws`; not with `client`. */
  url?: string;
  room: string;
  /** A client that is there already, whose connection is used. It outlives the stage. */
  client?: Client;
  filters?: Filters;
  /** What a click on a line opens: false for nothing, or what gives more items for a message. */
  menu?: boolean | ((message: Message) => MenuItem[]);
  /** Whether a screen reader is told lines, a few a minute. Not where a chat beside says the same. */
  log?: boolean;
  /** Whether the share that is left out is shown on the stage. */
  note?: boolean;
  /** Whether lines stand still while the video does, and go at its rate. */
  follow?: boolean;
  /** "en" or "zh"; else what the page is in. */
  lang?: string;
}

export interface StageEvents {
  /** Once a second, when it changed. */
  left_out: Stats;
  /** A user is hidden from now on: to be remembered in `filters.users` where it is to last. */
  hide: { uid: string };
  /** The server said no to what was asked for in the menu. */
  error: { code: string; message: string; retry_after?: number };
}

/** What `mount` gives. */
export interface Mounted {
  readonly client: Client;
  readonly stats: Stats;
  /** The share of lines that was left out in the last ten seconds, 0 to 1. */
  readonly left_out: number;
  /** Change any of how it looks, and `filters`. */
  set(options: Partial<Look> & { filters?: Filters }): void;
  /** Say something in the room. */
  send(text: string, options?: SendOptions): Promise<Ack>;
  /** Show nothing of a user any more, also of what flies. */
  hide(uid: string): void;
  /** The opposite. */
  unhide(uid: string): void;
  /** Into fullscreen with the stage on top, or out of it. */
  fullscreen(): Promise<void>;
  on<Name extends keyof StageEvents>(name: Name, listener: (event: StageEvents[Name]) => void): () => void;
  /** Take all of it away. The page is as it was. */
  destroy(): void;
}
