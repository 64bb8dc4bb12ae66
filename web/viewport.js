/* How much of the window the page can use: less while an on-screen keyboard covers some of it.
 *
 * Rule: it only measures. Browsers that shrink the page for the keyboard are right already; others
 * (Safari) shrink only the visual viewport, and scroll it. style.css lays out by `--height` and `--top`.
 */

/** What to lay out in, in px, or null where the window's own size is right. A pinch is no keyboard. */
export function usable({ height, offsetTop, scale }, windowHeight) {
  if (scale > 1.01 || windowHeight - height < 1) return null;
  return { height: Math.round(height), top: Math.round(offsetTop) };
}

export function followViewport(root, viewport = window.visualViewport) {
  if (!viewport) return;
  const lay = () => {
    const space = usable(viewport, innerHeight);
    root.classList.toggle("covered", space !== null);
    root.style.setProperty("--height", space ? `${space.height}px` : "100dvh");
    root.style.setProperty("--top", space ? `${space.top}px` : "0px");
  };
  for (const name of ["resize", "scroll"]) viewport.addEventListener(name, lay);
  lay();
}
