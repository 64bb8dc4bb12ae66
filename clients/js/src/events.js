/* Who listens to what.
 *
 * Rule: a listener that throws harms nobody else: its error is thrown where no one of us is waiting,
 * so that it reaches the console, or ends the process, as an error of one's own does.
 */

/** @template {object} Events */
export class Listeners {
  /** @type {Map<keyof Events, Set<(event: any) => void>>} */
  #listeners = new Map();

  /**
   * Call `listener` with each event of a name; what comes back ends that.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(event: Events[Name]) => void} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} event
   */
  emit(name, event) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** @param {keyof Events} name */
  wants(name) {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }
}
