// The live stage: draws previews and progress as they come over its own socket.
// It reconnects by itself, says whether anybody can see it, and tells Python once, at the end.

const PROTOCOL = "visionflux.stage.v1";
const KINDS = ["step", "keyframe", "frame"];
const BLEND = 140; // milliseconds in which one denoising step melts into the next, if it has time
const LAST_WAIT = 8000; // milliseconds between attempts to reconnect, at most
const PATIENCE = 5; // refused attempts after which Python is asked for a fresh ticket

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
    this.rushes = new Rushes(this.find(".screen"), this.find(".watch"));
    this.find(".pause").onclick = () => this.pause();
    this.drawn = Promise.resolve();
    this.clock = setInterval(() => this.tick(), 1000);
    this.turn = () => this.send(document.visibilityState === "hidden" ? "hidden" : "visible");
    document.addEventListener("visibilitychange", this.turn);
  }

  follow(data, setTriggerValue) {
    this.tell = setTriggerValue;
    const same = this.data && this.data.job === data.job && this.data.ticket === data.ticket;
    this.data = data;
    if (same) return;
    this.picture.size(data.width, data.height);
    this.find(".screen").style.setProperty("--ratio", data.width / data.height);
    this.rushes.address = `${data.rushes}?ticket=${data.filmTicket}&count=`;
    this.find(".strip").replaceChildren();
    this.wait = 250;
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
      this.wait = 250;
      this.failures = 0;
      this.say("");
      this.turn(); // previews come only while somebody can see them
    };
    socket.onmessage = (event) =>
      typeof event.data === "string" ? this.show(JSON.parse(event.data)) : this.take(event.data);
    socket.onclose = (event) => this.closed(event);
    this.socket = socket;
  }

  closed(event) {
    if (this.ended) return;
    if (event.code === 1000) return this.finish("gone");
    this.say("Reconnecting… your film goes on being made.");
    this.failures += 1;
    if (this.failures === PATIENCE) this.tell("stale", Date.now());
    this.retry = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(LAST_WAIT, this.wait * 2);
  }

  close() {
    this.ended = true;
    clearInterval(this.clock);
    this.rushes.close();
    document.removeEventListener("visibilitychange", this.turn);
    clearTimeout(this.retry);
    this.socket?.close();
  }

  finish(status) {
    if (this.ended) return;
    this.ended = true;
    this.tell("finished", status);
  }

  cancel() {
    const button = this.find(".cancel");
    button.disabled = true;
    button.textContent = "Cancelling…";
    this.send("cancel");
  }

  pause() {
    this.find(".pause").disabled = true; // until the engine has heard it
    this.send(this.state.status === "paused" ? "resume" : "pause");
  }

  send(word) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(word);
  }

  take(preview) {
    this.drawn = this.drawn // in order; more come only for those that were drawn
      .then(() => this.picture.take(preview, (...about) => this.place(...about)))
      .then(() => this.send("seen"));
  }

  // Where several devices share the film, the canvas stays with one piece until that is finished;
  // other keyframes grow in the strip. Returns where a preview belongs, if anywhere.
  place(kind, index) {
    const { painting = [], drawing = [] } = this.state ?? {};
    const open = [...painting.map((one) => `keyframe ${one}`), ...drawing.map((one) => `gap ${one}`)];
    const piece = `${kind === "frame" ? "gap" : "keyframe"} ${index}`;
    if (open.length > 1 && open.includes(this.piece) && piece !== this.piece)
      return kind === "frame" ? null : growing(this.find(`[data-index="${index}"]`));
    this.piece = piece;
    const name = kind === "frame" ? `Gap ${index + 1}` : `Keyframe ${this.state.strip.indexOf(index) + 1}`;
    write(this.find(".piece"), open.length > 1 ? name : "");
    return this.canvas;
  }

  show(state) {
    this.state = state;
    this.heard = Date.now();
    this.find(".stage").dataset.status = state.status;
    this.find(".headline").textContent = state.headline;
    this.say(state.calm);
    write(this.find(".spoken"), state.headline.split(" · ")[0]); // for those who listen: no steps
    const bar = this.find(".bar");
    bar.setAttribute("aria-valuenow", Math.round(state.fraction * 100));
    this.find(".fill").style.transform = `scaleX(${state.fraction})`;
    this.find(".percent").textContent = `${Math.floor(state.fraction * 100)} %`;
    const cancel = this.find(".cancel");
    const under = ["queued", "running", "paused"].includes(state.status);
    cancel.hidden = !under;
    this.offerPause(under && !state.cancelling, state.status === "paused");
    cancel.disabled = state.cancelling;
    cancel.textContent = state.cancelling ? "Cancelling…" : "Cancel";
    this.rushes.offer(under ? state.ready : 0);
    drawTimeline(this.find(".timeline"), state.timeline);
    drawStrip(this.find(".strip"), state, (index) => this.pictureAddress(index));
    this.tick();
    if (state.settled) this.finish(state.status);
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
    const running = this.state.status === "running" || this.state.status === "queued";
    const { remaining } = this.state;
    const left = remaining === null ? null : remaining - (Date.now() - this.heard) / 1000;
    const known = left !== null || this.state.status === "running";
    this.find(".eta").textContent = running && known ? words(left) : "";
  }

  say(text) {
    write(this.find(".calm"), text);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The newest picture on a canvas, and its glow behind; steps melt into each other.
class Picture {
  constructor(canvas, glow) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.glow = glow.getContext("2d");
    this.glow.filter = "blur(4px) saturate(1.5)"; // of few pixels: on the page it took 30 ms each
    this.before = document.createElement("canvas");
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.count = 0;
  }

  size(width, height) {
    for (const canvas of [this.canvas, this.before]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.context.imageSmoothingQuality = "high";
  }

  async take(buffer, place) {
    const header = new DataView(buffer);
    const kind = KINDS[header.getUint8(0)];
    try {
      const image = await createImageBitmap(new Blob([new Uint8Array(buffer, 7)], { type: "image/jpeg" }));
      const index = header.getUint16(1);
      const canvas = place(kind, index);
      if (canvas === this.canvas) this.draw(image, kind, index, header.getUint16(3));
      else if (canvas) {
        Object.assign(canvas, { width: image.width, height: image.height });
        canvas.getContext("2d").drawImage(image, 0, 0);
      }
    } catch {
      // A picture that cannot be decoded is skipped; the next one replaces it.
    }
  }

  draw(image, kind, index, step) {
    this.count += 1;
    Object.assign(this.canvas.dataset, { previews: this.count, kind, index, step });
    const now = performance.now();
    const melts = kind !== "frame" && now - this.since > 2 * BLEND && !this.still.matches;
    if (melts) this.before.getContext("2d").drawImage(this.canvas, 0, 0);
    this.image?.close();
    this.image = image;
    this.since = now;
    this.blend = melts ? BLEND : 0;
    this.glow.clearRect(0, 0, this.glow.canvas.width, this.glow.canvas.height);
    this.glow.drawImage(image, 0, 0, this.glow.canvas.width, this.glow.canvas.height);
    this.paint();
  }

  paint() {
    const { width, height } = this.canvas;
    const share = this.blend ? Math.min(1, (performance.now() - this.since) / this.blend) : 1;
    this.context.globalAlpha = 1;
    if (share < 1) this.context.drawImage(this.before, 0, 0);
    this.context.globalAlpha = share;
    this.context.drawImage(this.image, 0, 0, width, height);
    cancelAnimationFrame(this.next);
    if (share < 1) this.next = requestAnimationFrame(() => this.paint());
  }
}

// What is finished of the film, played over the preview while the rest is being made. At its end it
// goes on with what has come meanwhile, or begins again.
class Rushes {
  constructor(screen, button) {
    this.screen = screen;
    this.button = button;
    button.onclick = () => (this.video ? this.close() : this.open());
  }

  offer(ready) {
    this.ready = ready;
    this.button.hidden = !ready;
    if (!ready) this.close();
  }

  open() {
    const video = document.createElement("video");
    Object.assign(video, { className: "rushes", controls: true, muted: true, playsInline: true });
    video.setAttribute("aria-label", "What is finished of your film");
    video.onended = () => this.goOn();
    video.onerror = () => this.close();
    this.video = video;
    this.screen.append(video);
    this.button.textContent = "Back to live";
    this.load(0);
  }

  load(from) {
    const { video } = this;
    this.count = this.ready;
    video.src = this.address + this.count;
    video.onloadedmetadata = () => {
      video.currentTime = from;
      video.play().catch(() => {}); // the controls are there
    };
  }

  goOn() {
    if (this.ready > this.count) return this.load(this.video.duration);
    this.video.currentTime = 0;
    this.video.play().catch(() => {});
  }

  close() {
    if (!this.video) return;
    Object.assign(this.video, { onended: null, onerror: null, onloadedmetadata: null });
    this.video.removeAttribute("src");
    this.video.remove();
    this.video = null;
    this.button.textContent = "Play what is finished";
  }
}

function drawTimeline(list, steps) {
  while (list.children.length < steps.length) list.append(phase());
  steps.forEach((step, index) => {
    const item = list.children[index];
    item.dataset.state = step.state;
    item.querySelector(".name").textContent = step.name;
    item.querySelector(".count").textContent = step.count;
    if (step.state === "active") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function phase() {
  const item = document.createElement("li");
  for (const name of ["dot", "name", "count"]) {
    const part = document.createElement("span");
    part.className = name;
    item.append(part);
  }
  return item;
}

// The film as it grows: keyframes as pictures in order of time, the gaps between them filling up.
function drawStrip(strip, state, address) {
  const order = [...state.strip, ...Array(state.more).fill(null)];
  const layout = order.join();
  if (strip.dataset.layout !== layout) {
    strip.dataset.layout = layout;
    const known = new Map([...strip.querySelectorAll("[data-index]")].map((one) => [one.dataset.index, one]));
    strip.replaceChildren(
      ...order.flatMap((index, place) => {
        const frame = known.get(String(index)) ?? cell("keyframe");
        if (index !== null) frame.dataset.index = index;
        return place ? [cell("gap"), frame] : [frame];
      }),
    );
    if (state.ends.length === order.length) strip.append(cell("gap")); // back to the beginning
  }
  const pictures = new Set(state.pictures);
  state.keyframes.forEach((done, index) => {
    const frame = strip.querySelector(`[data-index="${index}"]`);
    frame.dataset.state = done ? "done" : state.painting.includes(index) ? "active" : "todo";
    frame.title = state.remarks[index] ?? "";
    frame.classList.toggle("odd", Boolean(frame.title));
    if (pictures.has(index) && !frame.querySelector("img")) {
      const image = document.createElement("img");
      image.alt = `Keyframe ${state.strip.indexOf(index) + 1}`;
      image.src = address(index);
      image.onload = () => frame.classList.add("shown");
      frame.append(image);
    }
    if (index === state.painting[0]) reveal(strip, frame);
  });
  state.segments.forEach((share, index) => {
    const gap = strip.querySelector(`[data-index="${state.ends[index][0]}"]`).nextSibling;
    gap?.style.setProperty("--share", share);
  });
}

function cell(name) {
  const element = document.createElement("span");
  element.className = name;
  return element;
}

// Returns the canvas in a keyframe's cell on which it grows.
function growing(frame) {
  let canvas = frame?.querySelector("canvas");
  if (frame && !canvas) {
    canvas = document.createElement("canvas");
    frame.prepend(canvas);
  }
  return canvas;
}

function reveal(strip, frame) {
  if (strip.dataset.revealed === String(frame.offsetLeft)) return;
  strip.dataset.revealed = String(frame.offsetLeft);
  strip.scrollTo({ left: frame.offsetLeft - strip.clientWidth / 2, behavior: "smooth" });
}

function words(seconds) {
  if (seconds === null) return "Estimating…";
  if (seconds < 8) return "a few seconds left";
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}
