/* How lines and what is about them look.
 *
 * Rule: constructable style sheets only, taken up by whatever tree the stage is in. No page's policy
 * stands against those. In a shadow tree no page's style reaches what they are about; the host itself is
 * in the page's tree, whose styles only what is important here withstands, so where it is comes by
 * custom properties.
 */

export const LINES = `
.danmaku {
  position: absolute; top: 0; left: 0;
  overflow: clip; overflow-clip-margin: 4px;
  font-weight: 700; line-height: 1.28; white-space: pre; will-change: transform;
  text-shadow: 0 0 3px rgb(0 0 0 / 85%), 1px 1px 1px rgb(0 0 0 / 80%), -1px 0 1px rgb(0 0 0 / 45%);
}
.danmaku.dark-ink { text-shadow: 0 0 2px rgb(255 255 255 / 95%), 0 0 3px rgb(255 255 255 / 85%); }
.danmaku.fixed { z-index: 1; padding: 0 10px; border-radius: 6px; background: rgb(8 10 30 / 72%); }
.danmaku.own { z-index: 2; padding: 1px 9px; border: 1px solid; border-radius: 6px; }
.danmaku.house {
  z-index: 3; padding: 2px 14px; border-radius: 99px; text-shadow: none;
  background: rgb(26 92 190 / 78%); box-shadow: 0 0 0 1px rgb(150 205 255 / 40%) inset;
}
.danmaku.house[data-kind="gift"] {
  background: linear-gradient(90deg, rgb(204 58 108 / 92%), rgb(206 92 28 / 90%));
  box-shadow: 0 0 0 1px rgb(255 214 170 / 45%) inset;
}
.danmaku.house[data-kind="superchat"] {
  border-radius: 8px;
  background: linear-gradient(90deg, rgb(148 88 4 / 95%), rgb(178 116 10 / 94%));
  box-shadow: 0 0 0 2px rgb(255 214 110 / 90%) inset, 0 2px 14px rgb(255 190 60 / 45%);
}
.danmaku .who { color: #ffe9b8; }
.danmaku.held { z-index: 4; outline: 2px solid #fff; border-radius: 6px; background-color: rgb(8 10 30 / 85%); }
.hand .danmaku { pointer-events: auto; cursor: pointer; }
.left-out {
  position: absolute; top: 8px; right: 10px; z-index: 5; margin: 0; padding: 2px 9px; border-radius: 99px;
  background: rgb(0 0 0 / 80%); color: rgb(255 255 255 / 90%); font-size: 12px; line-height: 1.5;
  font-variant-numeric: tabular-nums; pointer-events: none;
}
.left-out[hidden] { display: none; }
`;

export const MOUNTED = `
:host {
  all: initial !important; direction: ltr !important; display: block !important; position: absolute !important;
  left: var(--danmaku-left, 0) !important; top: var(--danmaku-top, 0) !important;
  width: var(--danmaku-width, 100%) !important; height: var(--danmaku-height, 100%) !important;
  overflow: hidden !important; contain: layout style !important; z-index: var(--danmaku-z, 1) !important; pointer-events: none !important;
  font-family: "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", system-ui, sans-serif !important;
}
:host([data-over]) { position: fixed !important; inset: 0 !important; width: 100% !important; height: 100% !important; }
.sky { position: absolute; inset: 6px 0; user-select: none; -webkit-user-select: none; }
.sky.low { bottom: 48px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.keys {
  position: absolute; left: 10px; top: 8px; z-index: 6; padding: 4px 12px; border: 0; border-radius: 99px;
  background: rgb(0 0 0 / 80%); color: #fff; font: inherit; font-size: 13px; pointer-events: auto;
}
.keys:not(:focus-visible) { clip-path: inset(50%); }
.told {
  position: absolute; left: 50%; bottom: 56px; z-index: 6; translate: -50% 0; margin: 0; padding: 4px 14px;
  border-radius: 99px; background: rgb(0 0 0 / 80%); color: #fff; font-size: 14px;
}
.told:empty { display: none; }
.menu {
  position: absolute; z-index: 7; min-width: 150px; max-width: 100%; max-height: 100%; overflow: auto;
  box-sizing: border-box; padding: 5px; border-radius: 10px; background: #1b1f2b; color: #eceef5;
  box-shadow: 0 0 0 1px rgb(255 255 255 / 14%), 0 10px 30px rgb(0 0 0 / 50%); pointer-events: auto;
}
.menu[hidden] { display: none; }
.menu button {
  display: block; width: 100%; min-height: 34px; padding: 4px 12px; border: 0; border-radius: 6px;
  background: none; color: inherit; font: inherit; font-size: 14px; text-align: start; cursor: pointer;
}
.menu button:hover, .menu button:focus { background: #323a52; outline: 0; }
.menu button:focus-visible { outline: 2px solid #7db6ff; outline-offset: -2px; }
`;

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/**
 * Have a document or a shadow tree look like this, too.
 * @param {Node} root
 * @param {string} css
 */
export function adopt(root, css) {
  let sheet = sheets.get(css);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(css, sheet);
  }
  const tree = /** @type {Document | ShadowRoot} */ (root);
  if (!tree.adoptedStyleSheets.includes(sheet)) tree.adoptedStyleSheets = [...tree.adoptedStyleSheets, sheet];
}
