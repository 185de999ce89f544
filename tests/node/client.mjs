// A command-line client for a VisionFlux engine, and a check of the protocol's page: it was written
// from docs/protocol.md alone and shares no code with the engine.
//
//   node tests/node/client.mjs LINK PROMPT OUTPUT_FILE [--seconds N] [--steps N]
//
// It orders one film and cuts both of its own connections on the way, the control socket in the
// middle of the painting and the data socket in the middle of the download. Then one line of JSON
// goes to stdout; any error goes to stderr with the exit status 1.

import { createHash, createHmac, randomBytes, randomInt, randomUUID, timingSafeEqual } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Lost, Refused, WebSocket } from "./websocket.mjs";

const OVERALL = 120_000;
const ANSWER = 30_000;
const READS_UNDER_WAY = 3;
const FINAL_CLOSE_CODES = [1002, 1008, 1009];

function check(truth, message) {
  if (!truth) throw new Error(message);
}

function parseLink(link) {
  const match = /^(https?:\/\/[^/?#@\s]+)\/#vf1\.([A-Za-z0-9_-]{43})$/.exec(link);
  check(match, "this is no pairing link");
  const base = new URL(match[1]);
  const host = base.hostname;
  const loopback = host === "localhost" || host === "[::1]" || (isIPv4(host) && host.startsWith("127."));
  check(base.protocol === "https:" || loopback, "a link with http must lead to this very machine");
  return { base, key: Buffer.from(match[2], "base64url") };
}

function hmac(key, ...parts) {
  return createHmac("sha256", key).update(parts.join("\n")).digest("base64url");
}

/** One try to open a socket: both ends prove that they know the key. `skew` is in seconds. */
async function open({ base, key }, path, skew = 0) {
  const time = String(Math.floor(Date.now() / 1000 + skew));
  const nonce = randomBytes(16).toString("base64url");
  const socket = await WebSocket.open(new URL(path, base), {
    headers: { Authorization: `VF1 ${time} ${nonce} ${hmac(key, "client", time, nonce, path)}` },
    protocol: "visionflux.v2",
  });
  const expected = Buffer.from(hmac(key, "engine", nonce));
  const got = Buffer.from(socket.headers["x-vf-proof"] ?? "");
  if (got.length !== expected.length || !timingSafeEqual(got, expected)) {
    socket.destroy();
    throw new Error("the engine did not prove that it knows the key");
  }
  return socket;
}

/** A path of the engine, opened again after each loss with growing pauses. */
class Connection {
  #link; #path; #socket; #opened = null; #pause = 500; #skew = 0; #skewTried = false; #id = 0;
  reconnects = 0;

  constructor(link, path) {
    this.#link = link;
    this.#path = path;
  }

  async open() {
    for (let first = this.#opened === null; ; first = false) {
      if (!first) {
        if (this.#opened !== null && Date.now() - this.#opened > 30_000) this.#pause = 500;
        await sleep(this.#pause * (1 - Math.random() / 2));
        this.#pause = Math.min(this.#pause * 1.6, 30_000);
      }
      try {
        this.#socket = await open(this.#link, this.#path, this.#skew);
        if (this.#opened !== null) this.reconnects += 1;
        this.#opened = Date.now();
        return;
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          const skew = (Date.parse(error.headers.date ?? "") - Date.now()) / 1000;
          if (!(Math.abs(skew) > 60) || this.#skewTried) {
            throw new Error("the link is not this engine's, or the clocks differ (401)");
          }
          this.#skew = skew;
          this.#skewTried = true;
        } else if (error instanceof Refused && [400, 403].includes(error.status)) throw error;
        else if (!(error instanceof Refused || error instanceof Lost)) throw error;
      }
    }
  }

  /** Runs `work` and, whenever it loses the connection, opens anew and runs it again. */
  async keep(work) {
    for (;;) {
      await this.open();
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Lost) || FINAL_CLOSE_CODES.includes(error.code)) throw error;
      }
    }
  }

  send(type, fields = {}) {
    const id = this.#id++;
    this.#socket.send(JSON.stringify({ type, id, ...fields }));
    return id;
  }

  /** The next message; a binary one is told by `payload`. The engine's errors are thrown. */
  async next(timeout = ANSWER) {
    const data = await this.#socket.next(timeout);
    if (typeof data !== "string") {
      const end = 5 + data.readUInt32BE(1);
      const type = ["", "preview", "chunk"][data[0]] ?? "";
      return { ...JSON.parse(data.subarray(5, end).toString("utf8")), type, payload: data.subarray(end) };
    }
    const message = JSON.parse(data);
    if (message.type === "error") throw engineError(message.error);
    return message;
  }

  /** Sends a request and waits for its answer, of the type `answer`; other messages are passed over. */
  async ask(answer, type, fields) {
    const id = this.send(type, fields);
    for (;;) {
      const message = await this.next();
      if (message.re !== id) continue;
      check(message.type === answer, `${type} was answered with ${message.type}`);
      return message;
    }
  }

  cut() {
    this.#socket.destroy();
  }

  close() {
    return this.#socket.close(1000);
  }
}

function engineError({ code, message, remedy, field }) {
  const text = remedy ? `${message}; ${remedy}` : message;
  return new Error(`${code}: ${text}${field ? ` (${field})` : ""}`);
}

/**
 * Orders the film twice under one id and watches it. The connection is cut once on the way: after
 * two previews of denoising steps, or after the first segment where previews do not come.
 */
async function makeFilm(control, job, recipe) {
  const seen = { events: 0, previews: 0, stepPreviews: 0, duplicateOk: false, film: null };
  let last = 0;
  let partDone = false;
  let cut = false;
  await control.keep(async () => {
    const hello = await control.next();
    check(hello.type === "hello" && hello.re === null && hello.protocol === 2, "no hello of protocol 2");
    if (!seen.duplicateOk) {
      await control.ask("accepted", "submit", { job, recipe });
      seen.duplicateOk = (await control.ask("accepted", "submit", { job, recipe })).duplicate === true;
      check(seen.duplicateOk, "the same order again was not recognised");
    }
    const snapshot = await control.ask("snapshot", "watch", { job, after: last, previews: true });
    check(snapshot.job === job && snapshot.progress.seq >= last, "the snapshot is behind the events");
    while (!seen.film) {
      const message = await control.next(OVERALL);
      if (message.job !== job) continue;
      if (message.type === "preview") {
        check(message.payload.readUInt16BE(0) === 0xffd8, "a preview is no JPEG");
        seen.previews += 1;
        if (message.kind === "step") seen.stepPreviews += 1;
      } else if (message.type === "event") {
        const { seq, event } = message;
        check(seq === last + 1, `event ${seq} came after event ${last}`);
        last = seq;
        seen.events += 1;
        if (event.type === "piece_finished" && event.stage === "segment") partDone = true;
        if (event.type === "failed") throw engineError(event.error);
        check(event.type !== "cancelled", "the job was cancelled");
        if (event.type === "finished") seen.film = event;
      }
      if (!cut && !seen.film && (seen.stepPreviews >= 2 || partDone)) {
        cut = true;
        control.cut();
      }
    }
  });
  check(cut, "the job was over before the connection could be cut");
  await control.close();
  return seen;
}

/** Pulls an object with several reads under way; the connection is cut once, halfway. */
async function pull(data, film) {
  const bytes = Buffer.alloc(film.size);
  const length = Math.max(1, Math.min(65536, Math.ceil(film.size / 10)));
  let have = 0;
  let cut = false;
  await data.keep(async () => {
    const object = await data.ask("object", "open", { object: film.object });
    check(object.size === film.size && object.sha256 === film.sha256, "the object is not the film");
    const reads = [];
    for (let asked = have; have < film.size; ) {
      for (; reads.length < READS_UNDER_WAY && asked < film.size; asked += length) {
        reads.push(data.send("read", { object: film.object, offset: asked, length }));
      }
      const chunk = await data.next();
      if (chunk.type !== "chunk") continue;
      check(chunk.re === reads.shift() && chunk.offset === have, "a chunk out of order");
      check(chunk.payload.length === Math.min(length, film.size - have), "a chunk of the wrong length");
      chunk.payload.copy(bytes, have);
      have += chunk.payload.length;
      if (!cut && have >= film.size / 2) {
        cut = true;
        data.cut();
      }
    }
  });
  await data.close();
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  check(sha256 === film.sha256, "the film's SHA-256 is wrong");
  return { bytes, sha256 };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: "string", default: "1" }, steps: { type: "string", default: "4" } },
  });
  check(positionals.length === 3, "usage: client.mjs LINK PROMPT OUTPUT_FILE [--seconds N] [--steps N]");
  const [address, prompt, output] = positionals;
  const link = parseLink(address);
  const signal = AbortSignal.timeout(ANSWER);
  const health = await fetch(new URL("/healthz", link.base), { redirect: "error", signal });
  check(health.ok && (await health.json()).protocol === 2, "no engine of protocol 2 is at this address");

  const job = randomUUID();
  const recipe = {
    version: 1,
    scenes: [{ prompt, seconds: Number(values.seconds) }],
    num_inference_steps: Number(values.steps),
    seed: randomInt(2 ** 32), // a film of its own, so that nothing made earlier is reused
  };
  const control = new Connection(link, "/v1/ws");
  const seen = await makeFilm(control, job, recipe);
  const data = new Connection(link, "/v1/data");
  const { bytes, sha256 } = await pull(data, seen.film);
  await writeFile(output, bytes);
  return {
    job, events: seen.events, previews: seen.previews, reconnects: control.reconnects + data.reconnects,
    size: bytes.length, sha256, seq_ok: true, duplicate_ok: seen.duplicateOk,
  };
}

function fail(error) {
  const reason = error.cause?.message ? `${error.message}: ${error.cause.message}` : error.message;
  process.stderr.write(`${reason}\n`, () => process.exit(1));
}

setTimeout(() => fail(new Error(`not done after ${OVERALL / 1000} s`)), OVERALL).unref();
main().then((result) => process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0)), fail);
