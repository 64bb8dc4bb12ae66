/* Whose picture stands at a name: theirs, where its address is safe to ask, else their initial.
 *
 * Rule: an address is asked only by https or at the page's own origin, without credentials and without
 * telling where from; the page's Content-Security-Policy says the same.
 */

const PX = 20;
const SEEN = /[\p{L}\p{N}\p{So}\p{Emoji_Presentation}]/u;
const HUES = [345, 12, 32, 48, 92, 150, 172, 195, 212, 232, 265, 300];

/** The address to ask for a picture, or null. `page` is the page's own. */
export function pictureAt(address, page) {
  if (!address || !URL.canParse(address, page)) return null;
  const url = new URL(address, page);
  const safe = url.protocol === "https:" || (url.protocol === "http:" && url.origin === new URL(page).origin);
  return safe && !url.username && !url.password ? url.href : null;
}

/** A hue for somebody, always the same. */
export function hueOf(key) {
  let sum = 0;
  for (let index = 0; index < key.length; index += 1) sum = (sum * 31 + key.charCodeAt(index)) >>> 0;
  return HUES[sum % HUES.length];
}

/** The first character of a name that can stand alone, as a reader would call it. */
export function initialOf(name) {
  const characters = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(name);
  for (const { segment } of characters) if (SEEN.test(segment)) return segment;
  return "·";
}

/** An element with the picture, or with the initial where there is none or it does not come. */
export function portrait({ name, avatar }) {
  const face = document.createElement("span");
  face.className = "face";
  face.setAttribute("aria-hidden", "true");
  face.textContent = initialOf(name).toLocaleUpperCase();
  const address = pictureAt(avatar, location.href);
  if (address) face.append(picture(address));
  return face;
}

function picture(address) {
  const image = new Image(PX, PX);
  image.className = "avatar";
  image.alt = "";
  image.loading = "lazy";
  image.decoding = "async";
  image.referrerPolicy = "no-referrer";
  image.addEventListener("error", () => image.remove());
  image.src = address;
  return image;
}
