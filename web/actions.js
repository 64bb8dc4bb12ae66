/* What may be done about a message, and how each is asked for and told.
 *
 * Rule: pure. Each action is {label, told, command}: what the menu says, what is said when it is done
 * (keys of i18n.js with their values), and the command without its room. Who may is shown by rank only; the server has the last word.
 */

import { rank } from "../clients/js/src/index.js";

const MUTES_S = [60, 600, 3600];
const HOUSE = "system";

/** For a message {seq, epoch, uid, name}. `own`: it is the viewer's. `role`: the viewer's here.
 *  `pinned`: the seq of the message that is. */
export function actionsFor({ seq, epoch, uid, name }, { own, role, pinned }) {
  const actions = [];
  if (rank(role) >= rank("moderator")) {
    if (seq) actions.push(...aboutMessage(seq, pinned));
    if (uid && !own && uid !== HOUSE) actions.push(...aboutUser(uid, name));
  }
  if (seq && !own) {
    const command = { t: "report", seq, epoch };
    actions.push({ label: ["menu.report"], told: ["menu.reported"], command });
  }
  return actions;
}

function aboutMessage(seq, pinned) {
  const isPinned = seq === pinned;
  return [
    order("delete", "menu.delete", "menu.deleted", { seq }),
    isPinned
      ? order("settings", "menu.unpin", "menu.unpinned", { pinned: null })
      : order("settings", "menu.pin", "menu.pinned", { pinned: seq }),
  ];
}

function aboutUser(uid, name) {
  const mutes = MUTES_S.map((seconds) =>
    order("mute", "menu.mute", "menu.muted", { uid, seconds }, { name, time: { seconds, long: true } }));
  return [
    order("clear", "menu.clear", "menu.cleared", { uid }, { name }),
    ...mutes,
    order("mute", "menu.mute.good", "menu.muted.good", { uid }, { name }),
    order("unmute", "menu.unmute", "menu.unmuted", { uid }, { name }),
    order("kick", "menu.kick", "menu.kicked", { uid }, { name }),
    order("ban", "menu.ban", "menu.banned", { uid }, { name }),
    order("unban", "menu.unban", "menu.unbanned", { uid }, { name }),
  ];
}

function order(action, label, told, fields, values) {
  return { label: [label, values], told: [told, values], command: { t: "moderate", action, ...fields } };
}
