// The live stage: draws the previews and the state that its WebSocket receives. It reconnects after a
// loss, reports whether it is visible, and notifies Python once, when the job is settled.

import { PartialFilm } from "./partial_film.js";
import { Picture } from "./picture.js";
import { drawStrip, drawTimeline, previewCanvas } from "./strip.js";

const PROTOCOL = "visionflux.stage.v1";
const MAX_DELAY = 8000; // milliseconds between attempts to reconnect
const MAX_FAILURES = 5; // failed attempts after which Python is asked for a new ticket

const stages = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  let stage = stages.get(parentElement);
  if (!stage) {
    stage = new Stage(parentElement);
    stages.set(parentElement, stage);
  }
  stage.follow(data, setTriggerValue);
  return () => {
    stage.close();
    stages.delete(parentElement);
  };
}

class Stage {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas.picture");
    this.picture = new Picture(this.canvas, this.find("canvas.glow"));
    this.find(".cancel").onclick = () => this.cancel();
    this.partialFilm = new PartialFilm(this.find(".screen"), this.find(".watch"));
    this.find(".pause").onclick = () => this.pause();
    this.find(".move").onclick = () => this.move();
    this.onNetwork = () => this.showSilence();
    for (const kind of ["online", "offline"]) window.addEventListener(kind, this.onNetwork);
    this.drawn = Promise.resolve();
    this.clock = setInterval(() => this.tick(), 1000);
    this.sendVisibility = () => this.send(document.visibilityState === "hidden" ? "hidden" : "visible");
    document.addEventListener("visibilitychange", this.sendVisibility);
  }

  follow(data, setTriggerValue) {
    this.notify = setTriggerValue;
    const same = this.data && this.data.job === data.job && this.data.ticket === data.ticket;
    this.data = data;
    if (same) return;
    this.picture.size(data.width, data.height);
    this.find(".stage").style.setProperty("--ratio", data.width / data.height);
    this.partialFilm.address = `${data.partialFilm}?ticket=${data.filmTicket}&count=`;
    this.find(".strip").replaceChildren();
    this.delay = 250;
    this.failures = 0;
    this.ended = false;
    this.connect();
  }

  connect() {
    if (this.ended) return;
    if (this.socket) this.socket.onclose = null;
    this.socket?.close();
    const url = new URL(this.data.path, window.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, [PROTOCOL, `ticket.${this.data.ticket}`]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.delay = 250;
      this.failures = 0;
      this.lostAt = null;
      this.showSilence();
      this.sendVisibility(); // previews are sent only while the page is visible
    };
    socket.onmessage = (event) =>
      typeof event.data === "string"
        ? this.show(JSON.parse(event.data))
        : this.receivePreview(event.data);
    socket.onclose = (event) => this.closed(event);
    this.socket = socket;
  }

  closed(event) {
    if (this.ended) return;
    if (event.code === 1000) return this.finish("gone");
    this.lostAt ??= Date.now();
    this.showSilence();
    this.failures += 1;
    if (this.failures === MAX_FAILURES) this.notify("stale", Date.now());
    this.retry = setTimeout(() => this.connect(), this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(MAX_DELAY, this.delay * 2);
  }

  close() {
    this.ended = true;
    clearInterval(this.clock);
    this.partialFilm.close();
    document.removeEventListener("visibilitychange", this.sendVisibility);
    for (const kind of ["online", "offline"]) window.removeEventListener(kind, this.onNetwork);
    clearTimeout(this.retry);
    this.socket?.close();
  }

  finish(status) {
    if (this.ended) return;
    this.ended = true;
    this.notify("finished", status);
  }

  cancel() {
    const button = this.find(".cancel");
    button.disabled = true;
    button.textContent = "Cancelling…";
    this.send("cancel");
  }

  pause() {
    this.find(".pause").disabled = true; // until the engine has paused or resumed
    this.send(this.state.status === "paused" ? "resume" : "pause");
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  receivePreview(preview) {
    this.drawn = this.drawn // in order; the server sends more when these are drawn
      .then(() => this.picture.receive(preview, (...about) => this.place(...about)))
      .then(() => this.send("seen"));
  }

  // If several devices make the film, the canvas shows one piece until that is finished; previews of
  // other keyframes are drawn in the strip. Returns where to draw a preview, or null.
  place(kind, index) {
    const { painting = [], drawing = [] } = this.state ?? {};
    const open = [...painting.map((one) => `keyframe ${one}`), ...drawing.map((one) => `gap ${one}`)];
    const piece = `${kind === "frame" ? "gap" : "keyframe"} ${index}`;
    if (open.length > 1 && open.includes(this.piece) && piece !== this.piece)
      return kind === "frame" ? null : previewCanvas(this.find(`[data-index="${index}"]`));
    this.piece = piece;
    const name = kind === "frame" ? `In-between ${index + 1}` : `Keyframe ${this.state.strip.indexOf(index) + 1}`;
    write(this.find(".piece"), open.length > 1 ? name : "");
    return this.canvas;
  }

  show(state) {
    this.state = state;
    this.receivedAt = Date.now();
    this.find(".stage").dataset.status = state.status;
    this.showMessage(state.calm);
    const bar = this.find(".bar");
    bar.setAttribute("aria-valuenow", Math.round(state.fraction * 100));
    this.find(".fill").style.transform = `scaleX(${state.fraction})`;
    this.find(".percent").textContent = `${Math.floor(state.fraction * 100)} %`;
    const cancel = this.find(".cancel");
    const unfinished = ["queued", "running", "paused"].includes(state.status);
    cancel.hidden = !unfinished;
    this.offerPause(unfinished && !state.cancelling && !state.resting, state.status === "paused");
    cancel.disabled = state.cancelling;
    cancel.textContent = state.cancelling ? "Cancelling…" : "Cancel";
    this.partialFilm.offer(unfinished ? state.ready : 0);
    drawTimeline(this.find(".timeline"), state.timeline);
    drawStrip(this.find(".strip"), state, (index) => this.pictureAddress(index));
    this.showSilence();
    this.tick();
    if (state.settled) this.finish(state.status);
  }

  // While the engine, the app or the network does not answer, the bar stops and the line says so.
  showSilence() {
    const { silence = "", rescue = "", headline = "" } = this.state ?? {};
    const away = !navigator.onLine && !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    let line = silence;
    if (away) line = "Your browser is offline. Your film continues without it.";
    else if (this.lostAt) {
      const seconds = Math.round((Date.now() - this.lostAt) / 1000);
      line = `The app has not answered for ${seconds} s. Your film continues; reconnecting…`;
    }
    this.find(".stage").toggleAttribute("data-silent", Boolean(line));
    write(this.find(".headline"), line || headline || "Connecting…");
    // For screen readers: without steps and seconds.
    write(this.find(".spoken"), line ? line.replace(/ for [\d.]+ \w+\./, ".") : headline.split(" · ")[0]);
    const button = this.find(".move");
    button.hidden = !rescue || Boolean(away || this.lostAt);
    button.textContent = `Continue on ${rescue}`;
    if (button.hidden) button.disabled = false;
    this.silent = Boolean(line);
  }

  move() {
    this.find(".move").disabled = true; // until it is moved, or the next offer
    this.send("move");
  }

  offerPause(possible, paused) {
    const button = this.find(".pause");
    button.hidden = !possible;
    if (this.paused !== paused) button.disabled = false;
    this.paused = paused;
    button.textContent = paused ? "Resume" : "Pause";
  }

  pictureAddress(index) {
    return `${this.data.pictures}/${index}?ticket=${this.data.filmTicket}`;
  }

  tick() {
    if (!this.state) return;
    if (this.lostAt) this.showSilence();
    const { status, remaining, resting } = this.state;
    const running = !resting && !this.silent && (status === "running" || status === "queued");
    const left = remaining === null ? null : remaining - (Date.now() - this.receivedAt) / 1000;
    const known = left !== null || status === "running";
    this.find(".eta").textContent = running && known ? remainingText(left) : "";
  }

  showMessage(text) {
    write(this.find(".calm"), text);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function remainingText(seconds) {
  if (seconds === null) return "Estimating…";
  if (seconds < 8) return "a few seconds left";
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}
