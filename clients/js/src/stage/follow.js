/* A video's time, told as a rate: 0 while it is paused.
 *
 * Rule: a video that has not begun yet stops nothing, because a room goes on before the show; nor does
 * one that is over.
 */

const EVENTS = ["play", "pause", "ratechange", "ended", "emptied"];

/**
 * Tell `turn` the rate, now and whenever it changes; what comes back ends that.
 * @param {HTMLVideoElement} video
 * @param {(rate: number) => void} turn
 */
export function follow(video, turn) {
  let begun = !video.paused || video.currentTime > 0;
  const tell = () => {
    begun ||= !video.paused;
    turn(begun && video.paused && !video.ended ? 0 : Math.min(4, Math.max(0, video.playbackRate)));
  };
  const ended = new AbortController();
  for (const name of EVENTS) video.addEventListener(name, tell, { signal: ended.signal });
  tell();
  return () => ended.abort();
}
