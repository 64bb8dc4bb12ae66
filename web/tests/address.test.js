/* Whose server a link leads to: always the one that served the page. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { roomsIn, serverUrl, tokenIn } from "../address.js";

const at = (href, served = ":8000/ws") => serverUrl(new URL(href), served);

describe("the server", () => {
  test("is at the served port and path of the page's own host", () => {
    assert.equal(at("http://chat.example:8001/"), "ws://chat.example:8000/ws");
    assert.equal(at("https://chat.example/", ":443/live"), "wss://chat.example:443/live");
    assert.equal(at("http://[::1]:8001/"), "ws://[::1]:8000/ws");
  });

  test("is beside the page, wherever a proxy has put it", () => {
    assert.equal(at("http://192.168.1.5:8000/", "ws"), "ws://192.168.1.5:8000/ws");
    assert.equal(at("https://chat.example/?room=a#token=b", "ws"), "wss://chat.example/ws");
    assert.equal(at("https://chat.example:8443/a/b/", "live/ws"), "wss://chat.example:8443/a/b/live/ws");
    assert.equal(at("https://chat.example/a/index.html", "ws"), "wss://chat.example/a/ws");
    assert.equal(at("http://chat.example//other.example/", "ws"), "ws://chat.example//other.example/ws");
  });

  test("is where the server says that it is", () => {
    const there = "wss://chat.example/live/ws";
    assert.equal(at("http://localhost:8000/", there), there);
  });

  test("has a place also when nobody filled it in", () => {
    assert.equal(at("http://localhost:8001/", "{{ws}}"), "ws://localhost:8000/ws");
  });

  test("cannot be named by a link", () => {
    const other = "wss://other.example/ws";
    for (const name of ["ws", "url", "server", "host", "endpoint", "address", "api"]) {
      for (const mark of ["?", "#", "?room=a&", "#token=&"]) {
        const href = `http://chat.example:8001/${mark}${name}=${other}`;
        assert.equal(at(href), "ws://chat.example:8000/ws", href);
        assert.equal(at(href, "ws"), "ws://chat.example:8001/ws", href);
        assert.equal(at(href, "wss://public.example/ws"), "wss://public.example/ws", href);
      }
    }
  });

  test("is not changed by what a token says", () => {
    const page = new URL("http://chat.example:8001/#token=a%26b%40other.example%2F%23");
    assert.equal(serverUrl(page, ":8000/ws"), "ws://chat.example:8000/ws");
    assert.equal(tokenIn(page), "a&b@other.example/#");
  });
});

describe("the room", () => {
  test("is the one in the address, else the lobby", () => {
    assert.deepEqual(roomsIn(new URL("http://a/?room=%E5%BC%B9%E5%B9%95")), ["弹幕"]);
    assert.deepEqual(roomsIn(new URL("http://a/?ws=wss://other")), ["lobby"]);
    assert.deepEqual(roomsIn(new URL("http://a/?room=")), ["lobby"]);
    assert.deepEqual(roomsIn(new URL("http://a/?room=b&room=a&room=b")), ["b", "a"]);
  });
});
