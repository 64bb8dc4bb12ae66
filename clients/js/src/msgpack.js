/* MessagePack, for who wants fewer bytes than JSON: `connect(url, { codec: MSGPACK })`.
 *
 * Rule: pure, and only what JSON can say: no binary, no extensions, maps with strings for keys. Who
 * imports this pays for it; the client itself does not. (https://github.com/msgpack/msgpack/blob/master/spec.md)
 * Danger: integers beyond 2^53 lose their last digits, as with JSON.parse.
 */

const TEXT = new TextDecoder("utf-8", { fatal: true });
const BYTES = new TextEncoder();
const DEEPEST = 64; // arrays and maps in each other; what the server sends has five
const TOO_LONG = 0x1_0000_0000;

/** @type {import("./types.js").Codec} */
export const MSGPACK = {
  protocol: "danmaku.msgpack",
  encode(command) {
    const writer = new Writer();
    writer.value(command);
    return writer.written;
  },
  decode(payload) {
    if (typeof payload === "string") throw new TypeError("MessagePack is no text");
    const reader = new Reader(payload);
    const events = reader.value();
    if (!reader.atEnd || !Array.isArray(events)) throw new TypeError("not one array of events");
    return events;
  },
};

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  get written() {
    return this.#bytes.slice(0, this.#at);
  }

  /** @param {any} value */
  value(value) {
    if (value === null || value === undefined) this.#byte(0xc0);
    else if (typeof value === "boolean") this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.#text(value);
    else if (Array.isArray(value)) this.#list(value);
    else this.#map(value);
  }

  /** @param {number} value */
  #number(value) {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) this.#float(value);
    else if (value >= 0) this.#sized(value, 0x80, [0x00, 0xcc, 0xcd, 0xce]) || this.#wide(0xcf, value);
    else if (value >= -32) this.#byte(value & 0xff);
    else this.#wide(0xd3, value);
  }

  /** @param {number} value */
  #float(value) {
    this.#byte(0xcb);
    this.#room(8);
    this.#view.setFloat64(this.#at, value);
    this.#at += 8;
  }

  /**
   * Eight bytes of a whole number.
   * @param {number} type
   * @param {number} value
   */
  #wide(type, value) {
    this.#byte(type);
    this.#room(8);
    this.#view.setBigInt64(this.#at, BigInt(value));
    this.#at += 8;
  }

  /** @param {string} value */
  #text(value) {
    const bytes = BYTES.encode(value);
    this.#sized(bytes.length, 32, [0xa0, 0xd9, 0xda, 0xdb]);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** @param {unknown[]} list */
  #list(list) {
    this.#sized(list.length, 16, [0x90, undefined, 0xdc, 0xdd]);
    for (const each of list) this.value(each);
  }

  /** @param {object} map */
  #map(map) {
    const fields = Object.entries(map).filter(([, value]) => value !== undefined);
    this.#sized(fields.length, 16, [0x80, undefined, 0xde, 0xdf]);
    for (const [name, value] of fields) {
      this.#text(name);
      this.value(value);
    }
  }

  /**
   * A size or a number in the fewest bytes: with the type in one, or behind it in one, two or four.
   * @param {number} size
   * @param {number} few
   * @param {(number | undefined)[]} types
   */
  #sized(size, few, [fix, one, two, four]) {
    if (size < few) this.#byte(/** @type {number} */ (fix) | size);
    else if (size < 0x100 && one !== undefined) this.#bigEndian(one, 1, size);
    else if (size < 0x1_0000) this.#bigEndian(/** @type {number} */ (two), 2, size);
    else if (size < TOO_LONG) this.#bigEndian(/** @type {number} */ (four), 4, size);
    else return false;
    return true;
  }

  /**
   * @param {number} type
   * @param {number} bytes
   * @param {number} value
   */
  #bigEndian(type, bytes, value) {
    this.#byte(type);
    for (let shift = 8 * (bytes - 1); shift >= 0; shift -= 8) this.#byte((value >>> shift) & 0xff);
  }

  /** @param {number} byte */
  #byte(byte) {
    this.#room(1);
    this.#bytes[this.#at] = byte;
    this.#at += 1;
  }

  /** @param {number} more */
  #room(more) {
    if (this.#at + more <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#at + more));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

class Reader {
  #bytes;
  #view;
  #at = 0;
  #depth = 0;

  /** @param {ArrayBuffer} payload */
  constructor(payload) {
    this.#bytes = new Uint8Array(payload);
    this.#view = new DataView(payload);
  }

  get atEnd() {
    return this.#at === this.#bytes.length;
  }

  /** The next value. A RangeError where there are too few bytes. @returns {any} */
  value() {
    const type = this.#number(1, "getUint8");
    if (type < 0x80) return type;
    if (type < 0x90) return this.#map(type & 0x0f);
    if (type < 0xa0) return this.#list(type & 0x0f);
    if (type < 0xc0) return this.#text(type & 0x1f);
    if (type >= 0xe0) return type - 0x100;
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return this.#number(4, "getFloat32");
      case 0xcb: return this.#number(8, "getFloat64");
      case 0xcc: return this.#number(1, "getUint8");
      case 0xcd: return this.#number(2, "getUint16");
      case 0xce: return this.#number(4, "getUint32");
      case 0xcf: return this.#number(8, "getBigUint64");
      case 0xd0: return this.#number(1, "getInt8");
      case 0xd1: return this.#number(2, "getInt16");
      case 0xd2: return this.#number(4, "getInt32");
      case 0xd3: return this.#number(8, "getBigInt64");
      case 0xd9: return this.#text(this.#number(1, "getUint8"));
      case 0xda: return this.#text(this.#number(2, "getUint16"));
      case 0xdb: return this.#text(this.#number(4, "getUint32"));
      case 0xdc: return this.#list(this.#number(2, "getUint16"));
      case 0xdd: return this.#list(this.#number(4, "getUint32"));
      case 0xde: return this.#map(this.#number(2, "getUint16"));
      case 0xdf: return this.#map(this.#number(4, "getUint32"));
      default: throw new TypeError(`no JSON has what begins with 0x${type.toString(16)}`);
    }
  }

  /**
   * @param {number} bytes
   * @param {"getUint8" | "getUint16" | "getUint32" | "getBigUint64" | "getInt8" | "getInt16" | "getInt32"
   *   | "getBigInt64" | "getFloat32" | "getFloat64"} how
   */
  #number(bytes, how) {
    const value = this.#view[how](this.#at);
    this.#at += bytes;
    return Number(value);
  }

  /** @param {number} length */
  #text(length) {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError("the text is not all there");
    const text = TEXT.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return text;
  }

  /** @param {number} length */
  #list(length) {
    return this.#nested(() => {
      const list = [];
      for (let nth = 0; nth < length; nth += 1) list.push(this.value());
      return list;
    });
  }

  /** @param {number} length */
  #map(length) {
    return this.#nested(() => {
      /** @type {Record<string, unknown>} */
      const map = {};
      for (let nth = 0; nth < length; nth += 1) {
        const name = this.value();
        if (typeof name !== "string") throw new TypeError("a key that is no text");
        if (name === "__proto__") Object.defineProperty(map, name, { value: this.value(), enumerable: true });
        else map[name] = this.value();
      }
      return map;
    });
  }

  /**
   * @template T
   * @param {() => T} read
   */
  #nested(read) {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new RangeError("too deep");
    const value = read();
    this.#depth -= 1;
    return value;
  }
}
