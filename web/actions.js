/* What may be done about a message, and how each is asked for and told.
 *
 * Rule: pure. Each action is {label, told, command}: what the menu says, what is said when it is done,
 * and the command without its room. Who may is shown by rank only; the server has the last word.
 */

import { rank } from "../clients/js/src/index.js";

const MUTES = [["1 minute", 60], ["10 minutes", 600], ["1 hour", 3600], ["good", undefined]];
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
    actions.push({ label: "Report to the moderators", told: "Reported. Thank you.", command });
  }
  return actions;
}

function aboutMessage(seq, pinned) {
  const isPinned = seq === pinned;
  return [
    order("delete", "Delete", "Deleted.", { seq }),
    isPinned
      ? order("settings", "Unpin", "Not pinned any more.", { pinned: null })
      : order("settings", "Pin", "Pinned.", { pinned: seq }),
  ];
}

function aboutUser(uid, name) {
  const mutes = MUTES.map(([time, seconds]) =>
    order("mute", `Mute for ${time}`, `${name} is muted for ${time}.`, { uid, seconds }));
  return [
    order("clear", "Delete all of theirs", `All of ${name} is deleted.`, { uid }),
    ...mutes,
    order("unmute", "Unmute", `${name} may type again.`, { uid }),
    order("kick", "Kick for a minute", `${name} was sent out.`, { uid }),
    order("ban", "Ban for good", `${name} is banned here.`, { uid }),
    order("unban", "Lift the ban", `${name} may come in again.`, { uid }),
  ];
}

function order(action, label, told, fields) {
  return { label, told, command: { t: "moderate", action, ...fields } };
}
