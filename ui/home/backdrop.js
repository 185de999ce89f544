// The film behind the front page. It plays while it is visible and motion is on. Shortly before its
// end it fades into its own first frame, so that the loop has no visible cut.

import { motionIsOn, onMotion, setMotion } from "../shell/motion.js";

const FADE = 1.2; // seconds
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
  const find = (selector) => root.querySelector(selector);
  const video = find("video");
  const button = find("button");
  find(".still").src = data.poster;
  video.src = data.src;
  let visible = true;
  const updatePlayback = () => {
    const on = motionIsOn();
    button.querySelector("path").setAttribute("d", on ? PAUSE : PLAY);
    button.querySelector(".label").textContent = on ? "Pause motion" : "Play motion";
    if (on && visible && !document.hidden) video.play().catch(() => {});
    else video.pause();
  };
  const showPrompt = () => {
    const now = data.scenes.findLast((scene) => scene.start <= video.currentTime);
    const prompt = find(".prompt");
    if (now && prompt.textContent !== now.prompt) prompt.textContent = now.prompt;
    const leaving = video.duration - video.currentTime < FADE;
    video.classList.toggle("leaving", leaving);
  };
  video.addEventListener("timeupdate", showPrompt);
  video.addEventListener("playing", () => video.classList.add("shown"), { once: true });
  button.onclick = () => setMotion(!motionIsOn());
  const watch = new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    updatePlayback();
  });
  watch.observe(video);
  const unsubscribe = onMotion(updatePlayback);
  showPrompt();
  updatePlayback();
  return () => {
    unsubscribe();
    watch.disconnect();
    video.pause();
  };
}
