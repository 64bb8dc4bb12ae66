/* A room one is in, as the page shows it when it is seen: its chat, rules, likes, and how one fares.
 *
 * Rule: state, no wiring. What concerns the room that is seen is shown by app.js, from here.
 */

import { Likes } from "../clients/js/src/index.js";
import { RoomState } from "./roomstate.js";

export class Place {
  state = new RoomState();
  online = 0;
  liked = 0;
  role; // one's own, where it is another than everywhere
  out = ""; // why one was sent out
  refusal = null; // of the last join
  unread = 0;
  typed = "";

  /** `like(count)` sends likes; `shown()` is called when their sum changed. */
  constructor({ room, chat, like, shown }) {
    this.room = room;
    this.chat = chat;
    this.likes = new Likes({
      send: like,
      show: (total) => {
        this.liked = total;
        shown(this);
      },
    });
  }

  joined({ online, state, role }, now, wall) {
    this.out = "";
    this.refusal = null;
    this.online = online;
    this.role = role;
    this.state.joined(state, now, wall);
  }

  sentOut(reason) {
    this.out = reason;
    this.state.clear();
  }

  close() {
    this.likes.leave();
  }
}
