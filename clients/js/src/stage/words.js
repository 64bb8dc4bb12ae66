/* What the stage says by itself, by language. Rule: every table has the same names. */

/** @type {Record<string, Words>} */
export const LANGUAGES = {
  en: {
    lines: "Danmaku: arrow keys choose a line, Enter opens its menu",
    menu: (name) => `Line of ${name}`,
    copy: "Copy", copied: "Copied.",
    hide: (name) => `Hide ${name}`, hidden: (name) => `${name} is not shown any more.`,
    report: "Report", reported: "Reported. Thank you.",
    remove: "Delete", removed: "Deleted.",
    mute: (name) => `Mute ${name} for 10 minutes`, muted: (name) => `${name} is muted.`,
    ban: (name) => `Ban ${name}`, banned: (name) => `${name} is banned here.`,
    leftOut: (share) => `${share} left out`,
    failed: "That did not work.",
  },
  zh: {
    lines: "弹幕：方向键选择，回车打开菜单",
    menu: (name) => `${name} 的弹幕`,
    copy: "复制", copied: "已复制",
    hide: (name) => `屏蔽 ${name}`, hidden: (name) => `已屏蔽 ${name}`,
    report: "举报", reported: "已举报，谢谢",
    remove: "删除", removed: "已删除",
    mute: (name) => `禁言 ${name} 10 分钟`, muted: (name) => `${name} 已被禁言`,
    ban: (name) => `封禁 ${name}`, banned: (name) => `${name} 已被封禁`,
    leftOut: (share) => `${share} 未显示`,
    failed: "操作失败",
  },
};

/**
 * @typedef {object} Words
 * @property {string} lines
 * @property {(name: string) => string} menu
 * @property {string} copy
 * @property {string} copied
 * @property {(name: string) => string} hide
 * @property {(name: string) => string} hidden
 * @property {string} report
 * @property {string} reported
 * @property {string} remove
 * @property {string} removed
 * @property {(name: string) => string} mute
 * @property {(name: string) => string} muted
 * @property {(name: string) => string} ban
 * @property {(name: string) => string} banned
 * @property {(share: string) => string} leftOut
 * @property {string} failed
 */

/**
 * @param {(string | undefined)[]} wanted languages, the first that is named counts
 * @returns {Words}
 */
export function wordsFor(...wanted) {
  const found = wanted.find(Boolean) ?? "";
  return LANGUAGES[found.toLowerCase().startsWith("zh") ? "zh" : "en"];
}
