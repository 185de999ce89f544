// Plays two films side by side with one set of controls. The shorter one stops at its last frame.

import { once } from "../shell/mount.js";
import { converted } from "./convert.js";

const PLAY = "M8 5.5v13l10.5-6.5z";
const PAUSE = "M8 5.5v13M16 5.5v13";

export default once((root, { films }) => {
  const comparison = new Comparison(root, films);
  return () => comparison.close();
});

class Comparison {
  constructor(root, films) {
    this.find = (selector) => root.querySelector(selector);
    this.frame = 1 / Math.max(...films.map((film) => film.fps));
    this.videos = films.map((film) => this.screen(film));
    this.playing = false;
    this.find(".play").onclick = () => this.toggle();
    this.find(".time").oninput = ({ target }) => this.seek(Number(target.value));
    for (const step of root.querySelectorAll(".step")) {
      step.onclick = () => this.step(Number(step.dataset.by));
    }
    root.querySelector(".duo").onkeydown = (event) => this.handleKey(event);
    this.draw();
    this.load(films);
  }

  screen(film) {
    const box = document.createElement("figure");
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, preload: "auto", tabIndex: -1 });
    if (film.poster) video.poster = film.poster;
    video.style.aspectRatio = `${film.width} / ${film.height}`;
    video.setAttribute("aria-label", film.title);
    video.onclick = () => this.toggle();
    const name = document.createElement("figcaption");
    name.textContent = film.title;
    box.append(video, name);
    this.find(".films").append(box);
    return video;
  }

  // A GIF cannot be paused or seeked, so its MP4 is played.
  async load(films) {
    const message = this.find(".word");
    const sources = films.map(async (film) => {
      if (film.format !== "gif") return film.src;
      return converted(film, "mp4", (share) => {
        message.textContent = `Preparing the GIF… ${Math.floor(share * 100)} %`;
      });
    });
    try {
      for (const [index, src] of (await Promise.all(sources)).entries()) this.videos[index].src = src;
      await Promise.all(this.videos.map((video) => loaded(video, () => video.readyState >= 2)));
      message.textContent = "";
    } catch (problem) {
      message.textContent = problem.message || "One of the films cannot be played.";
      return;
    }
    this.find(".time").max = this.length;
    this.draw();
    if (!window.matchMedia("(prefers-reduced-motion: reduce)").matches) this.toggle();
  }

  get length() {
    return Math.max(...this.videos.map((video) => video.duration || 0));
  }

  // The longer film sets the time; the other one is corrected if it is more than a frame off.
  get leader() {
    return this.videos.reduce((a, b) => ((b.duration || 0) > (a.duration || 0) ? b : a));
  }

  toggle() {
    if (!this.length) return;
    this.playing = !this.playing;
    if (this.playing && this.leader.ended) this.seek(0);
    if (this.playing) this.start();
    else this.pause();
    this.draw();
  }

  start() {
    for (const video of this.videos) if (!video.ended) video.play().catch(() => {});
    cancelAnimationFrame(this.request);
    const tick = () => {
      if (!this.playing) return;
      if (this.leader.ended) this.restart();
      this.align();
      this.draw();
      this.request = requestAnimationFrame(tick);
    };
    this.request = requestAnimationFrame(tick);
  }

  restart() {
    for (const video of this.videos) {
      video.currentTime = 0;
      video.play().catch(() => {});
    }
  }

  align() {
    const at = this.leader.currentTime;
    for (const video of this.videos) {
      if (video === this.leader || video.seeking || this.leader.seeking) continue;
      const wanted = Math.min(at, video.duration);
      if (Math.abs(video.currentTime - wanted) > this.frame) video.currentTime = wanted;
    }
  }

  pause() {
    for (const video of this.videos) video.pause();
    this.seek(this.leader.currentTime);
  }

  seek(at) {
    const to = Math.max(0, Math.min(at, this.length - this.frame / 2));
    for (const video of this.videos) video.currentTime = Math.min(to, video.duration - this.frame / 2);
    this.draw(to);
  }

  step(by) {
    if (this.playing) this.toggle();
    this.seek(this.leader.currentTime + by * this.frame);
  }

  handleKey(event) {
    if (event.target.matches("input, button") && event.key === " ") return;
    const action = { " ": () => this.toggle(), ",": () => this.step(-1), ".": () => this.step(1) }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  draw(at = this.leader.currentTime) {
    const show = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;
    this.find(".time").value = at;
    this.find(".time").setAttribute("aria-valuetext", `${at.toFixed(1)} seconds`);
    this.find(".clock").textContent = `${show(at)} / ${show(this.length)}`;
    this.find(".play path").setAttribute("d", this.playing ? PAUSE : PLAY);
    this.find(".play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.find(".duo").dataset.playing = this.playing;
  }

  close() {
    this.playing = false;
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load();
    }
  }
}

function loaded(video, ready) {
  return new Promise((resolve, reject) => {
    if (ready()) resolve();
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(Error("One of the films cannot be played.")), { once: true });
  });
}
