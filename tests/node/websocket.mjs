// A minimal WebSocket client (RFC 6455), since the one that Node.js 20 brings cannot send headers of
// one's own. It was written for client.mjs, which was written from docs/protocol.md alone; neither
// shares any code with the engine. No extensions, no compression, Node's standard library only.

import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_MESSAGE = 16 * 1024 * 1024;
const PING_EVERY = 15_000;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];

/** The server answered the upgrade request with something other than 101. */
export class Refused extends Error {
  constructor(status, headers, body) {
    super(`the answer to the upgrade was ${status}: ${body.slice(0, 300)}`);
    Object.assign(this, { status, headers, body });
  }
}

/** The connection ended; `code` is the close code, 1006 where there was no close frame. */
export class Lost extends Error {
  constructor(message, code = 1006) {
    super(message);
    this.code = code;
  }
}

export class WebSocket {
  #socket;
  #buffer = Buffer.alloc(0);
  #parts = []; // the fragments of a message that is not complete yet
  #opcode = 0; // its type; 0 while there is none
  #queue = []; // messages that nobody has taken yet
  #waiter = null; // whoever waits in next()
  #lost = null;
  #pinged = false; // a ping without its pong
  #closing = false;
  #timer;

  /** Opens `url` (http or https); resolves with a WebSocket whose `headers` are the answer's. */
  static open(url, { headers = {}, protocol, timeout = 15_000 }) {
    const key = randomBytes(16).toString("base64");
    const accept = createHash("sha1").update(key + GUID).digest("base64");
    return new Promise((resolve, reject) => {
      const request = (url.protocol === "https:" ? https : http).request(url, {
        agent: false,
        headers: {
          ...headers, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": protocol,
        },
      });
      const timer = setTimeout(() => request.destroy(new Lost("no answer to the upgrade")), timeout);
      const settle = (how, value) => (clearTimeout(timer), how(value));
      request.on("error", (error) => settle(reject, new Lost(error.message || error.code)));
      request.on("response", (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text) => body.length < 65536 && (body += text));
        response.on("error", (error) => settle(reject, new Lost(error.message)));
        response.on("end", () =>
          settle(reject, new Refused(response.statusCode, response.headers, body)));
      });
      request.on("upgrade", (response, socket, head) => {
        const got = response.headers;
        if (got["sec-websocket-accept"] === accept && got["sec-websocket-protocol"] === protocol &&
            !got["sec-websocket-extensions"]) {
          settle(resolve, new WebSocket(socket, head, got));
        } else {
          socket.destroy();
          settle(reject, new Error("the handshake's answer is not that of RFC 6455"));
        }
      });
      request.end();
    });
  }

  constructor(socket, head, headers) {
    this.headers = headers;
    this.#socket = socket;
    socket.setNoDelay(true).setTimeout(0);
    socket.on("data", (data) => this.#receive(data));
    socket.on("error", (error) => this.#end(new Lost(error.message)));
    socket.on("close", () => this.#end(new Lost("the connection was cut")));
    this.#timer = setInterval(() => {
      if (this.#pinged) return this.#end(new Lost("no pong came"));
      this.#pinged = true;
      this.#write(PING, Buffer.alloc(0));
    }, PING_EVERY).unref();
    if (head.length) this.#receive(head);
  }

  /** The next message: a string or a Buffer. Rejects with Lost at the end or after `timeout` ms. */
  next(timeout) {
    if (this.#queue.length) return Promise.resolve(this.#queue.shift());
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(new Lost(`nothing came for ${timeout} ms`)), timeout);
      this.#waiter = {
        resolve: (value) => (clearTimeout(timer), resolve(value)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      };
    });
  }

  send(text) {
    this.#write(TEXT, Buffer.from(text, "utf8"));
  }

  /** Closes with a close frame; resolves when the connection has ended, after 2 s at most. */
  close(code = 1000) {
    return new Promise((resolve) => {
      if (this.#lost) return resolve();
      const timer = setTimeout(() => this.#socket.destroy(), 2_000);
      this.#socket.on("close", () => (clearTimeout(timer), resolve()));
      this.#sendClose(code);
    });
  }

  /** Cuts the TCP connection without a word. */
  destroy() {
    this.#queue = [];
    this.#end(new Lost("this side cut the connection"));
  }

  #write(opcode, payload) {
    if (this.#lost || !this.#socket.writable) return;
    const { length } = payload;
    const header = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
    header[0] = 0x80 | opcode;
    header[1] = 0x80 | (length < 126 ? length : length < 65536 ? 126 : 127);
    if (header.length === 4) header.writeUInt16BE(length, 2);
    if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
    const mask = randomBytes(4);
    this.#socket.write(Buffer.concat([header, mask, payload.map((byte, at) => byte ^ mask[at & 3])]));
  }

  #sendClose(code) {
    if (this.#closing) return;
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#write(CLOSE, payload);
    this.#closing = true;
  }

  #end(lost) {
    if (this.#lost) return;
    this.#lost = lost;
    clearInterval(this.#timer);
    this.#socket.destroy();
    this.#waiter?.reject(lost);
    this.#waiter = null;
  }

  #receive(data) {
    this.#buffer = this.#buffer.length ? Buffer.concat([this.#buffer, data]) : data;
    try {
      while (!this.#lost && this.#frame());
    } catch (error) {
      this.#sendClose(1002);
      this.#end(new Lost(`a broken frame: ${error.message}`, 1002));
    }
  }

  /** Takes one frame off the buffer; false if there is none in full. */
  #frame() {
    const bytes = this.#buffer;
    const small = bytes.length < 2 ? 0 : bytes[1] & 0x7f;
    const start = small < 126 ? 2 : small === 126 ? 4 : 10;
    if (bytes.length < start) return false;
    const length =
      start === 2 ? small : start === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    const last = (bytes[0] & 0x80) !== 0;
    const opcode = bytes[0] & 0x0f;
    if (bytes[0] & 0x70) throw new Error("reserved bits");
    if (bytes[1] & 0x80) throw new Error("a mask from the server");
    if (opcode >= CLOSE && (!last || length > 125)) throw new Error("a long or split control frame");
    if (length > MAX_MESSAGE) throw new Error("too long");
    if (bytes.length < start + length) return false;
    const payload = bytes.subarray(start, start + length);
    this.#buffer = bytes.subarray(start + length);
    if (opcode === PING) this.#write(PONG, payload);
    else if (opcode === PONG) this.#pinged = false;
    else if (opcode === CLOSE) {
      const code = length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.#sendClose(1000);
      this.#socket.end();
      this.#end(new Lost(`closed with ${code} ${payload.subarray(2).toString()}`.trim(), code));
    } else this.#part(opcode, payload, last);
    return true;
  }

  #part(opcode, payload, last) {
    if (opcode > BINARY) throw new Error(`opcode ${opcode}`);
    if ((opcode === CONTINUATION) !== (this.#opcode !== 0)) throw new Error("fragments out of order");
    if (opcode !== CONTINUATION) this.#opcode = opcode;
    this.#parts.push(payload);
    if (this.#parts.reduce((sum, part) => sum + part.length, 0) > MAX_MESSAGE) throw new Error("too long");
    if (!last) return;
    const whole = Buffer.concat(this.#parts);
    const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const message = this.#opcode === TEXT ? utf8.decode(whole) : whole;
    this.#parts = [];
    this.#opcode = 0;
    if (this.#waiter) {
      const waiter = this.#waiter;
      this.#waiter = null;
      waiter.resolve(message);
    } else this.#queue.push(message);
  }
}
