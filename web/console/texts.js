/* What the console says, in English and 中文: one table.
 *
 * Rule: every text has both. {name} is filled in. The reader's choice is kept; without one it is the
 * browser's.
 */

const KEPT = "danmaku-console-language";

export const TEXTS = {
  title: ["Danmaku console", "弹幕控制台"],
  skip: ["Skip to the content", "跳到内容"],
  sections: ["Sections", "栏目"],
  overview: ["Overview", "概览"],
  rooms: ["Rooms", "房间"],
  users: ["Users", "用户"],
  moderation: ["Moderation", "管理"],
  broadcast: ["Broadcast", "广播"],
  language: ["中文", "English"],

  // the key
  key_title: ["Open with a key", "用密钥打开"],
  key_label: ["API key", "API 密钥"],
  key_hint: ["It stays in this tab and ends with it.", "只保存在此标签页中，关闭即失效。"],
  key_open: ["Open", "打开"],
  key_forget: ["Forget the key", "忘记密钥"],
  key_of: ["key {key}: {scopes}", "密钥 {key}：{scopes}"],
  key_form: ["A key is visible ASCII, without spaces.", "密钥只含可见 ASCII 字符，不含空格。"],
  key_hidden: ["There is no API at this address. Without a key it is at api.port only, for this machine.",
    "此地址没有 API。未设密钥时，只能在本机通过 api.port 访问。"],
  needs: ["This key has no scope “{scope}”, which this needs.", "此密钥没有所需的“{scope}”权限。"],

  // the connection
  connecting: ["Connecting", "正在连接"],
  open: ["Live", "实时"],
  waiting: ["Reconnecting", "正在重连"],
  refused: ["Refused", "被拒绝"],
  "ended.draining": ["The server went down: reconnecting", "服务器已停止，正在重连"],
  "ended.slow": ["This browser was too slow: reconnecting", "浏览器接收过慢，正在重连"],
  bus_away: ["Redis does not answer: only this node is shown, and nothing can be changed.",
    "Redis 无响应：只显示本节点，暂时无法更改。"],
  away: ["The server does not answer.", "服务器没有响应。"],

  // what the server refuses, by its code
  sentence_with: ["{sentence} ({said})", "{sentence}（{said}）"],
  refused_with: ["The server refuses this: {said}", "服务器拒绝了此操作：{said}"],
  field_wrong: ["{message}", "此项无效（{message}）"],
  "error.bad_request": ["The request is not valid.", "请求无效。"],
  "error.unauthorized": ["That is no key of this server's.", "这不是本服务器的密钥。"],
  "error.forbidden": ["This may not be done.", "不允许此操作。"],
  "error.not_found": ["There is no such thing, or not any more.", "不存在或已不存在。"],
  "error.method_not_allowed": ["The server cannot do this.", "服务器不支持此操作。"],
  "error.timeout": ["It took too long.", "请求超时。"],
  "error.id_reused": ["This id was given to another message.", "该 id 已用于另一条消息。"],
  "error.too_large": ["That is too long.", "内容过大。"],
  "error.unsupported_media_type": ["The server cannot read this.", "服务器无法读取此内容。"],
  "error.room_busy": ["More is said in the room than it takes: try again.", "房间消息过多，请稍后再试。"],
  "error.rate_limited": ["That was too often: try again later.", "操作过于频繁，请稍后再试。"],
  "error.too_many_connections": ["Too many connections to the server: try again later.",
    "服务器连接过多，请稍后再试。"],
  "error.head_too_large": ["The request's head is too long.", "请求头过大。"],
  "error.too_many_streams": ["As many consoles are open as there may be: close one.",
    "打开的实时流已达上限，请关闭一个。"],
  "error.unavailable": ["The server cannot do this now: try again.", "暂时无法操作，请重试。"],
  "error.internal": ["The server failed on this.", "服务器内部错误。"],

  // figures
  viewers: ["Viewers", "在线"],
  published: ["Messages/s", "消息/秒"],
  delivered: ["Deliveries/s", "投递/秒"],
  dropped: ["Dropped/s", "丢弃/秒"],
  shed: ["Shed/s", "限量/秒"],
  refused_s: ["Refused/s", "拒绝/秒"],
  joins: ["Joins/s", "进入/秒"],
  sent_bytes: ["Sent/s", "发送/秒"],
  reasons: ["Not delivered or refused, by reason", "未投递或被拒绝的原因"],
  reason: ["Reason", "原因"],
  a_second: ["A second", "每秒"],
  reasons_none: ["Nothing in the last two minutes.", "最近两分钟没有。"],
  "r.dropped": ["dropped", "丢弃"],
  "r.refused": ["refused", "拒绝"],
  "r.turned_away": ["turned away", "拒绝连接"],
  "r.closed": ["closed", "断开"],
  "cause.slow": ["too slow a reader", "读取过慢"],
  "cause.slow_low": ["too slow a reader, of low priority", "读取过慢（低优先级）"],
  "cause.closed": ["connection closed", "连接已关闭"],
  "cause.bad_request": ["not valid", "请求无效"],
  "cause.rate_limited": ["too often", "过于频繁"],
  "cause.bad_room": ["no room's name", "房间名无效"],
  "cause.not_joined": ["not in the room", "未加入房间"],
  "cause.too_many_rooms": ["too many rooms", "房间过多"],
  "cause.text_empty": ["nothing to show", "内容为空"],
  "cause.text_too_long": ["text too long", "文字过长"],
  "cause.unavailable": ["Redis away", "Redis 不可用"],
  "cause.id_reused": ["id used before", "id 重复"],
  "cause.read_only": ["guests may not type", "游客不可发言"],
  "cause.role": ["role too low", "角色不足"],
  "cause.banned": ["banned", "已封禁"],
  "cause.muted": ["muted", "已禁言"],
  "cause.silenced": ["room silenced", "房间禁言"],
  "cause.word": ["word refused", "命中词库"],
  "cause.slow_mode": ["slow mode", "慢速模式"],
  "cause.repeated": ["said before", "重复内容"],
  "cause.room_busy": ["room busy", "房间繁忙"],
  "cause.hook": ["by a hook", "钩子拒绝"],
  "cause.presend": ["by the presend callback", "预发送回调拒绝"],
  "cause.unchecked": ["could not be checked", "无法检查"],
  "cause.moderation": ["moderation refused", "管理操作被拒"],
  "cause.full": ["server full", "服务器已满"],
  "cause.per_address": ["too many of an address", "同一地址连接过多"],
  "cause.timeout": ["too late", "超时"],
  "cause.protocol": ["broke the protocol", "违反协议"],
  "cause.heartbeat": ["no heartbeat", "无心跳"],
  "cause.stalled": ["stalled", "停滞"],
  "cause.largest_backlog": ["largest backlog", "积压最多"],
  "cause.flooding": ["flooding", "刷屏"],
  nodes: ["Nodes and shards", "节点与分片"],
  node: ["Node", "节点"],
  shard: ["Shard", "分片"],
  state: ["State", "状态"],
  serving: ["serving", "服务中"],
  not_serving: ["not serving", "未服务"],
  bus_cut: ["cut from Redis", "与 Redis 断开"],
  connections: ["Connections", "连接"],
  slow: ["Slow readers", "慢读者"],
  backlog: ["Backlog", "积压"],
  lag: ["Loop lag", "循环延迟"],
  lives: ["Lives", "启动次数"],
  node_gone: ["{node} is gone: it was last there at {time}.", "{node} 已离线，最后一次在线：{time}。"],
  streams_open: ["{count} of {most} live streams", "实时流 {count}/{most}"],
  nothing_yet: ["Waiting for figures …", "等待数据……"],

  // rooms
  room: ["Room", "房间"],
  online: ["Online", "在线"],
  peak: ["Peak", "峰值"],
  unique: ["Visitors", "访客"],
  lines_s: ["Lines/s", "弹幕/秒"],
  trend: ["Trend", "趋势"],
  rooms_none: ["Nobody is in any room.", "没有人在任何房间里。"],
  room_go: ["Open a room by name", "按名称打开房间"],
  room_go_hint: ["Or name up to {most}, with commas between.", "也可输入最多 {most} 个房间，用英文逗号分隔。"],
  watch: ["Watched rooms", "多房间监看"],
  watch_add: ["Watch it, too", "添加监看"],
  watch_less: ["Watch {room} no more", "停止监看 {room}"],
  watch_most: ["These are {most}, as many as one view has.", "已达 {most} 个上限。"],
  watch_largest: ["Watch the {count} fullest", "监看人数最多的 {count} 个"],
  go: ["Open", "打开"],
  lines: ["Lines", "弹幕"],
  lines_none: ["Nothing has been said lately.", "最近没有人说话。"],
  removed: ["taken back", "已撤回"],
  rules_changed: ["The rules were changed.", "规则已更改。"],
  cleared: ["All messages were taken back.", "所有消息已撤回。"],
  cleared_of: ["All messages of {uid} were taken back.", "{uid} 的所有消息已撤回。"],
  likes: ["Likes", "点赞"],

  // a room's actions
  remove: ["Delete", "删除"],
  remove_of: ["Delete “{text}” of {name}", "删除 {name} 的“{text}”"],
  removed_done: ["Deleted.", "已删除。"],
  clear: ["Delete all messages", "删除所有消息"],
  clear_sure: ["Delete all messages of {room}? This cannot be undone.", "删除 {room} 的所有消息？无法撤销。"],
  cleared_done: ["All messages are deleted.", "所有消息已删除。"],
  rules: ["Rules", "规则"],
  slow_s: ["Slow mode (seconds)", "慢速模式（秒）"],
  silence: ["Silence", "全员禁言"],
  silence_none: ["nobody", "无"],
  silence_all: ["everybody", "全体"],
  silence_below: ["below {role}", "{role} 以下"],
  pin: ["Pin the message", "置顶此消息"],
  pinned_done: ["Pinned.", "已置顶。"],
  unpin: ["Unpin", "取消置顶"],
  unpinned: ["Not pinned any more.", "已取消置顶。"],
  no_repeats_s: ["No repeats (seconds)", "禁止重复（秒）"],
  min_role: ["May type from", "最低发言角色"],
  messages_per_s: ["Messages a second (0: any)", "每秒消息数（0 为不限）"],
  shown_per_s: ["Shown a second (0: all)", "每秒显示数（0 为全部）"],
  merge_duplicates: ["Merge what many say", "合并重复弹幕"],
  join_notices: ["Tell who comes in", "显示进入提示"],
  announcement: ["Announcement", "公告"],
  owners: ["Owners (uids, one a line)", "房主（每行一个 uid）"],
  save: ["Save", "保存"],
  saved: ["Saved.", "已保存。"],
  unsaved_elsewhere: ["Somebody has changed these rules meanwhile.", "其他人刚刚改了规则。"],
  reload: ["Load them", "载入"],
  say_title: ["Say something", "发送弹幕"],
  text: ["Text", "内容"],
  name: ["Name", "名称"],
  kind: ["Kind", "类型"],
  send: ["Send", "发送"],
  sent: ["Sent.", "已发送。"],

  // a user
  uid: ["uid", "uid"],
  act_on: ["What to do about {name}", "对 {name} 的操作"],
  seconds: ["For", "时长"],
  "for.60": ["1 minute", "1 分钟"],
  "for.600": ["10 minutes", "10 分钟"],
  "for.3600": ["1 hour", "1 小时"],
  "for.86400": ["1 day", "1 天"],
  "for.604800": ["1 week", "1 周"],
  "for.0": ["for good", "永久"],
  why: ["Reason", "理由"],
  mute: ["Mute", "禁言"],
  unmute: ["Unmute", "解除禁言"],
  ban: ["Ban", "封禁"],
  unban: ["Unban", "解除封禁"],
  kick: ["Kick for a minute", "踢出一分钟"],
  clear_theirs: ["Delete all of theirs", "删除其所有消息"],
  clear_theirs_sure: ["Delete all messages of {name} here? This cannot be undone.",
    "删除 {name} 在此的所有消息？无法撤销。"],
  muted_done: ["{name} is muted.", "{name} 已被禁言。"],
  unmuted_done: ["{name} may type again.", "{name} 可以发言了。"],
  banned_done: ["{name} is banned.", "{name} 已被封禁。"],
  unbanned_done: ["{name} may come in again.", "{name} 可以进入了。"],
  kicked_done: ["{name} was sent out.", "{name} 已被踢出。"],
  more_of: ["All about this user", "查看此用户"],
  close: ["Close", "关闭"],
  cancel: ["Cancel", "取消"],
  search: ["Search", "搜索"],
  search_label: ["Part of a name or uid", "名称或 uid 的一部分"],
  search_hint: ["Asked of all shards: who is connected now.", "向所有分片查询当前在线者。"],
  search_none: ["Nobody who is connected is called so.", "没有匹配的在线用户。"],
  search_more: ["There are more.", "还有更多。"],
  incomplete: ["{answered} of {known} shards have answered.", "{known} 个分片中有 {answered} 个已回答。"],
  role: ["Role", "角色"],
  user: ["User", "用户"],
  in_rooms: ["In rooms", "所在房间"],
  nowhere: ["Not connected.", "未连接。"],
  sanctions: ["Mutes and bans", "禁言与封禁"],
  sanctions_none: ["None that hold.", "没有生效的。"],
  everywhere: ["everywhere", "全站"],
  until: ["Until", "截止"],
  for_good: ["for good", "永久"],
  disconnect: ["Disconnect", "断开连接"],
  disconnect_sure: ["Close all connections of {uid}?", "断开 {uid} 的所有连接？"],
  disconnected: ["Connections closed: {count}.", "已断开 {count} 个连接。"],
  addresses: ["Show addresses", "显示地址"],
  addresses_sure: ["Addresses are personal data: the audit will say that you asked.",
    "地址是个人数据：审计中会记录你的查询。"],
  ban_address: ["Ban the address", "封禁此地址"],
  ban_address_of: ["Ban the address {address}", "封禁地址 {address}"],
  address: ["Address", "地址"],

  // moderation
  reports: ["Reports", "举报"],
  reports_none: ["Nothing is reported.", "没有举报。"],
  reported_by: ["reported by {uid}", "由 {uid} 举报"],
  deal: ["Done", "已处理"],
  dealt_done: ["Taken out of the queue.", "已移出队列。"],
  mutes: ["Mutes", "禁言"],
  bans: ["Bans", "封禁"],
  mutes_none: ["Nobody is muted here.", "没有被禁言的用户。"],
  bans_none: ["Nobody is banned here.", "没有被封禁的用户。"],
  address_bans: ["Banned addresses", "被封禁的地址"],
  address_label: ["Address or network (CIDR)", "地址或网段（CIDR）"],
  where: ["Where", "范围"],
  lift: ["Lift", "解除"],
  lift_of: ["Lift for {name}", "解除 {name}"],
  lifted: ["Lifted.", "已解除。"],
  next: ["More", "更多"],
  words: ["Words", "词库"],
  words_hint: ["One a line.", "每行一个。"],
  refuse: ["Refuse", "拒绝"],
  mask: ["Mask with *", "以 * 遮盖"],
  shadow: ["Show to the sender only", "仅发送者可见"],
  try_title: ["Try a text", "试一试"],
  try: ["Try", "检测"],
  "outcome.pass": ["Passes.", "通过。"],
  "outcome.refuse": ["Is refused.", "被拒绝。"],
  "outcome.mask": ["Is shown as: {text}", "显示为：{text}"],
  "outcome.shadow": ["Only its sender sees it.", "仅发送者可见。"],
  hits: ["By: {words}", "命中：{words}"],
  "did.mute": ["mute", "禁言"],
  "did.unmute": ["unmute", "解除禁言"],
  "did.ban": ["ban", "封禁"],
  "did.unban": ["unban", "解除封禁"],
  "did.kick": ["kick", "踢出"],
  "did.delete": ["delete", "删除"],
  "did.clear": ["clear", "清空"],
  "did.settings": ["settings", "规则"],
  "did.owners": ["owners", "房主"],
  "did.words": ["words", "词库"],
  "did.dealt": ["report dealt with", "处理举报"],
  "did.addresses": ["addresses", "查询地址"],
  "role.guest": ["guest", "游客"],
  "role.user": ["user", "用户"],
  "role.vip": ["vip", "贵宾"],
  "role.moderator": ["moderator", "管理员"],
  "role.owner": ["owner", "房主"],
  "role.admin": ["admin", "超级管理员"],
  "role.backend": ["backend", "后端"],
  "kind.": ["chat", "普通"],
  "kind.system": ["system", "系统"],
  "kind.gift": ["gift", "礼物"],
  "kind.superchat": ["superchat", "醒目留言"],
  audit: ["Audit", "审计"],
  audit_none: ["Nothing was done yet.", "还没有记录。"],
  time: ["Time", "时间"],
  who: ["Who", "操作者"],
  what: ["What", "操作"],
  whom: ["Whom or what", "对象"],

  // broadcast
  to: ["To", "发给"],
  to_rooms: ["rooms", "房间"],
  to_users: ["users", "用户"],
  to_all: ["everybody connected", "所有在线者"],
  names: ["Names, one a line", "名称，每行一个"],
  color: ["Colour", "颜色"],
  mode: ["Mode", "模式"],
  "mode.scroll": ["scroll", "滚动"],
  "mode.top": ["top", "顶部"],
  "mode.bottom": ["bottom", "底部"],
  "mode.reverse": ["reverse", "逆向"],
  broadcast_sure: ["Send “{text}” to everybody who is connected?", "向所有在线者发送“{text}”？"],
  broadcast_done: ["Sent to everybody.", "已发给所有人。"],
  broadcast_rooms: ["Published: {count}.", "已发布：{count} 条。"],
};

export const LANGUAGES = ["en", "zh-CN"];

let language = chosen();

function chosen() {
  try {
    const kept = localStorage.getItem(KEPT);
    if (LANGUAGES.includes(kept)) return kept;
  } catch {
    // nothing is kept here
  }
  return globalThis.navigator?.language?.startsWith("zh") ? "zh-CN" : "en";
}

export function languageNow() {
  return language;
}

export function speak(wanted) {
  language = wanted;
  try {
    localStorage.setItem(KEPT, wanted);
  } catch {
    // for this page only
  }
}

/** What the server calls something, as the reader does; by its own name where there is no text. */
export const named = (kind, name) => (knows(`${kind}.${name}`) ? t(`${kind}.${name}`) : name.replaceAll("_", " "));

/** When something is, as the reader writes that. */
export const day = (ts) => new Date(ts).toLocaleDateString(language);

export function clock(ts) {
  return new Date(ts).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

/** Whether there is such a text. */
export const knows = (name) => Object.hasOwn(TEXTS, name);

/** The text of a name, with what stands in braces filled in. */
export function t(name, fill = {}) {
  const text = TEXTS[name][LANGUAGES.indexOf(language)];
  return text.replace(/\{(\w+)\}/gu, (braces, key) => (key in fill ? fill[key] : braces));
}
