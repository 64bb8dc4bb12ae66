/* A video of one's own on the stage, where the lake would be.
 *
 * Rule: it begins without its sound, as browsers ask for, and again when it is over; by itself only where
 * the reader has not asked for less motion. It has the browser's controls but for fullscreen, which would
 * leave the danmaku behind. The lake stays until the video has a picture, and for good when it has none.
 */

import { follow } from "../clients/js/src/stage/follow.js";

/** Show `url` in the stage's `video`; `turn` is told its rate, `shown()` once it has a picture. */
export function showFilm(video, url, { turn, shown }) {
  if (!url) return;
  video.addEventListener("loadeddata", () => {
    video.hidden = false;
    video.parentElement.classList.add("filmed");
    follow(video, turn);
    shown();
  }, { once: true });
  video.autoplay = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  video.src = url;
}
