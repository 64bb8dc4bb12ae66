/* A message's colour: a number 0..0xFFFFFF on the wire. Rule: pure. */

/** @param {number} color */
export function cssColor(color) {
  return `#${color.toString(16).padStart(6, "0")}`;
}

/**
 * By Rec. 709 luma: so dark that the usual dark outline would swallow the letters.
 * @param {number} color
 */
export function isDark(color) {
  const [red, green, blue] = [color >> 16, (color >> 8) & 255, color & 255];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 45;
}
