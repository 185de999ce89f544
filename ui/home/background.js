// The film behind a page: the last one, or one of the showcase, blurred and dark. It is drawn onto a
// canvas of a few pixels, a few times a second, which costs next to nothing and blurs by itself; a
// filter over a whole window would draw 5 pictures a second. It begins once the page has loaded, and
// on a narrow screen or a slow connection it is a still picture.

import { motionIsOn, onMotion, setMotion } from "../shell/motion.js";

const WIDTH = 64;
const HEIGHT = 40; // pixels of the canvas
const INTERVAL = 120; // milliseconds between its pictures
const INTERVAL_BESIDE_A_STAGE = 1000; // each costs a whole window; a film's previews come first
const NARROW = window.matchMedia("(max-width: 900px)");
const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";
const PLAY = "M8 5v14l11-7z";
const mounted = new WeakMap();

export default function ({ data, parentElement }) {
  if (!mounted.has(parentElement)) mounted.set(parentElement, mount(parentElement, data));
  return () => {
    mounted.get(parentElement)?.();
    mounted.delete(parentElement);
  };
}

function mount(root, data) {
  const canvas = root.querySelector("canvas");
  const button = root.querySelector("button");
  const picture = new Image();
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true });
  video.playsInline = true;
  let timer = 0;
  const move = () => {
    draw();
    timer = setTimeout(move, hasStage() ? INTERVAL_BESIDE_A_STAGE : INTERVAL);
  };
  const draw = () => paint(canvas, video.readyState > 1 ? video : picture);
  const mayMove = () => !NARROW.matches && !isSlow();
  const update = () => {
    const on = motionIsOn();
    button.hidden = !mayMove();
    button.querySelector("path").setAttribute("d", on ? PAUSE : PLAY);
    button.querySelector(".label").textContent = on ? "Pause motion" : "Play motion";
    clearTimeout(timer);
    if (on && mayMove() && !document.hidden) {
      if (!video.src) video.src = data.src;
      video.play().catch(() => {});
      move();
    } else {
      video.pause();
    }
  };
  picture.onload = draw;
  button.onclick = () => setMotion(!motionIsOn());
  const unsubscribe = onMotion(update);
  NARROW.addEventListener("change", update);
  const begin = () => {
    picture.src = data.poster;
    update();
  };
  const waiting = whenLoaded(begin);
  return () => {
    waiting.abort();
    unsubscribe();
    NARROW.removeEventListener("change", update);
    clearTimeout(timer);
    video.pause();
    video.removeAttribute("src");
    video.load(); // ends its download
  };
}

function whenLoaded(begin) {
  const waiting = new AbortController();
  const later = () => setTimeout(() => waiting.signal.aborted || begin(), 400);
  if (document.readyState === "complete") later();
  else window.addEventListener("load", later, { once: true, signal: waiting.signal });
  return waiting;
}

function hasStage() {
  return new URLSearchParams(location.search).has("job");
}

function isSlow() {
  const connection = navigator.connection;
  return Boolean(connection?.saveData || /2g|3g/.test(connection?.effectiveType ?? ""));
}

// Draw a picture so that it covers the canvas, softened.
function paint(canvas, source) {
  const width = source.videoWidth ?? source.naturalWidth;
  const height = source.videoHeight ?? source.naturalHeight;
  if (!width || !height) return;
  if (canvas.width !== WIDTH) Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  const scale = Math.max(WIDTH / width, HEIGHT / height) * 1.06;
  const context = canvas.getContext("2d", { alpha: false });
  context.filter = "blur(1.4px)";
  context.drawImage(
    source,
    (WIDTH - width * scale) / 2,
    (HEIGHT - height * scale) / 2,
    width * scale,
    height * scale,
  );
  canvas.classList.add("shown");
}
