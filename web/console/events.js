/* Server-sent events out of pieces of text, as the stream brings them.
 *
 * Rule: pure. However the text is cut, the events are the same. What never ends is given up.
 */

const MOST_CHARS = 8 * 1024 * 1024;

export class EventReader {
  constructor() {
    this._rest = "";
  }

  /** The events [name, data] that are whole now. Throws an Error for one beyond all bounds, and a
   *  SyntaxError for data that is no JSON. */
  read(text) {
    const parts = (this._rest + text).split("\n\n");
    this._rest = parts.pop();
    if (this._rest.length > MOST_CHARS) throw new Error("an event that does not end");
    return parts.map(parse).filter(([name, data]) => name && data !== undefined);
  }
}

function parse(block) {
  let name = "";
  let data;
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data = JSON.parse(line.slice(6));
  }
  return [name, data];
}
