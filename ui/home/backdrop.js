// The film behind the front page. It plays while it is visible and motion is on. Shortly before its
// end it fades into its own first frame, so that the loop has no visible cut.

import { motionButton, motionIsOn, onMotion } from "../shell/motion.js";
import { once } from "../shell/mount.js";

const FADE = 1.2; // seconds

export default once(mount);

function mount(root, data) {
  const find = (selector) => root.querySelector(selector);
  const video = find("video");
  find(".still").src = data.poster;
  video.src = data.src;
  let visible = true;
  const updatePlayback = () => {
    if (motionIsOn() && visible && !document.hidden) video.play().catch(() => {});
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
  const watch = new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    updatePlayback();
  });
  watch.observe(video);
  const unsubscribe = [motionButton(find("button")), onMotion(updatePlayback)];
  showPrompt();
  updatePlayback();
  return () => {
    unsubscribe.forEach((end) => end());
    watch.disconnect();
    video.pause();
  };
}
