// The film behind a page: the last one, or one of the showcase, blurred and dark. It is drawn onto a
// canvas of a few pixels, a few times a second, which blurs by itself; a filter over a whole window
// would draw 5 pictures a second. It begins once the page has loaded, and on a narrow screen or a slow
// connection it is a still picture.

import { motionButton, motionIsOn, onMotion } from "../shell/motion.js";
import { once } from "../shell/mount.js";

const WIDTH = 64;
const HEIGHT = 40; // pixels of the canvas
const INTERVAL = 120; // milliseconds between its pictures
const INTERVAL_BESIDE_A_FILM = 1000; // each repaints the window; a film and its previews come first
const NARROW = window.matchMedia("(max-width: 900px)");

export default once(mount);

function mount(root, data) {
  const canvas = root.querySelector("canvas");
  const button = root.querySelector("button");
  const picture = new Image();
  const video = Object.assign(document.createElement("video"), { muted: true, loop: true });
  video.playsInline = true;
  let timer = 0;
  const move = () => {
    draw();
    timer = setTimeout(move, showsFilm() ? INTERVAL_BESIDE_A_FILM : INTERVAL);
  };
  const draw = () => paint(canvas, video.readyState > 1 ? video : picture);
  const mayMove = () => !NARROW.matches && !isSlow();
  const update = () => {
    button.hidden = !mayMove();
    clearTimeout(timer);
    if (motionIsOn() && mayMove() && !document.hidden) {
      if (!video.src) video.src = data.src;
      video.play().catch(() => {});
      move();
    } else {
      video.pause();
    }
  };
  picture.onload = draw;
  const unsubscribe = [motionButton(button), onMotion(update)];
  NARROW.addEventListener("change", update);
  const begin = () => {
    picture.src = data.poster;
    update();
  };
  const waiting = whenLoaded(begin);
  return () => {
    waiting.abort();
    unsubscribe.forEach((end) => end());
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

function showsFilm() {
  const search = new URLSearchParams(location.search);
  return search.has("job") || search.has("film");
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
