// A row of films. A card plays while it is hovered or focused and, on devices without a pointer,
// while it is in view. A click opens a drawer with the film and its recipe.

import { REDUCED_MOTION, motionIsOn, onMotion } from "../shell/motion.js";

const REACH = 0.8; // share of the visible row by which an arrow scrolls
const mounted = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const reel = mounted.get(parentElement) ?? new Reel(parentElement);
  mounted.set(parentElement, reel);
  reel.choose = (kind, id) => setTriggerValue(kind, id);
  reel.show(data);
  return () => {
    reel.close();
    mounted.delete(parentElement);
  };
}

class Reel {
  constructor(root) {
    this.find = (selector) => root.querySelector(selector);
    this.rail = this.find(".rail");
    this.cards = new Map();
    this.playing = null;
    this.touch = window.matchMedia("(hover: none)").matches;
    this.visibility = new IntersectionObserver((entries) => this.onVisibility(entries), {
      threshold: [0, 0.75],
    });
    this.unsubscribe = onMotion(() => this.follow());
    this.prepareArrows();
    this.drawer = new Drawer(this);
  }

  show(data) {
    this.find("h2").textContent = data.title;
    this.find(".note").textContent = data.note;
    const before = this.cards;
    this.cards = new Map(
      data.films.map((film) => [film.src, before.get(film.src) ?? this.card(film)]),
    );
    this.rail.replaceChildren(...this.cards.values());
    this.updateArrows();
    this.openNamed(data.films);
  }

  // The URL may name the film whose drawer is open.
  openNamed(films) {
    if (this.named) return;
    this.named = true;
    const wanted = films.find((film) => film.id === openFilm());
    if (wanted) this.drawer.open(wanted);
  }

  close() {
    this.unsubscribe();
    this.visibility.disconnect();
    this.stop();
    window.removeEventListener("popstate", this.drawer.onBack);
  }

  card(film) {
    const item = element("li");
    const button = element("button", "card");
    button.type = "button";
    button.dataset.id = film.id;
    button.setAttribute("aria-haspopup", "dialog");
    const screen = element("span", "screen");
    screen.append(still(film));
    if (film.poster) screen.style.setProperty("--poster", `url("${encodeURI(film.poster)}")`);
    const text = element("span", "words");
    text.append(element("span", "title", film.line), element("span", "facts", film.facts));
    button.append(screen, text);
    button.onmouseenter = button.onfocus = () => this.play(button, film);
    button.onmouseleave = button.onblur = () => this.stop(button);
    button.onclick = () => this.drawer.open(film);
    button.follow = () => this.play(button, film);
    item.append(button);
    if (this.touch) this.visibility.observe(button);
    return item;
  }

  // One card of a row plays at a time; its video is removed when it stops.
  play(button, film) {
    if (!motionIsOn() || document.hidden || this.playing === button) return;
    this.stop();
    this.playing = button;
    const moving = film.format === "gif" ? element("img", "moving") : video(film);
    moving.alt = "";
    moving.addEventListener(film.format === "gif" ? "load" : "playing", () => {
      if (!moving.isConnected) return; // it has stopped already
      moving.classList.add("shown");
      button.dataset.playing = "";
    });
    if (film.format === "gif") moving.src = film.src;
    button.querySelector(".screen").append(moving);
    if (film.format !== "gif") moving.play().catch(() => {});
  }

  stop(button = this.playing) {
    if (!button || button !== this.playing) return;
    delete button.dataset.playing;
    button.querySelector(".moving")?.remove();
    this.playing = null;
  }

  onVisibility(entries) {
    for (const { target, intersectionRatio } of entries) {
      target.seen = intersectionRatio >= 0.75;
      if (!target.seen) this.stop(target);
    }
    this.follow();
  }

  follow() {
    if (!motionIsOn() || document.hidden) return this.stop();
    if (!this.touch || this.playing) return;
    const cards = [...this.cards.values()].map((item) => item.firstChild);
    cards.find((button) => button.seen)?.follow();
  }

  prepareArrows() {
    const go = (way) => this.rail.scrollBy({
      left: way * REACH * this.rail.clientWidth,
      behavior: REDUCED_MOTION.matches ? "auto" : "smooth",
    });
    this.find(".back").onclick = () => go(-1);
    this.find(".on").onclick = () => go(1);
    this.rail.addEventListener("scroll", () => this.updateArrows(), { passive: true });
    new ResizeObserver(() => this.updateArrows()).observe(this.rail);
  }

  updateArrows() {
    const { scrollLeft, scrollWidth, clientWidth } = this.rail;
    this.find(".arrows").hidden = scrollWidth <= clientWidth + 1;
    this.find(".back").disabled = scrollLeft < 1;
    this.find(".on").disabled = scrollLeft + clientWidth >= scrollWidth - 1;
  }
}

class Drawer {
  constructor(reel) {
    this.find = (selector) => reel.find(`.drawer ${selector}`);
    this.box = reel.find(".drawer");
    this.box.addEventListener("click", (event) => event.target === this.box && this.box.close());
    this.box.addEventListener("close", () => {
      this.find(".player").replaceChildren();
      if (location.pathname !== this.home || !openFilm()) return; // the page is left, or by Back
      if (this.pushed) history.back();
      else history.replaceState(history.state, "", addressOf(null));
    });
    this.onBack = () => this.box.open && !openFilm() && this.box.close();
    window.addEventListener("popstate", this.onBack);
    this.find(".leave").onclick = () => this.box.close();
    for (const kind of ["remix", "library"]) {
      this.find(`.${kind}`).onclick = () => {
        this.home = null; // Back from the next page returns to this drawer
        this.box.close();
        reel.choose(kind, this.film.id);
      };
    }
  }

  open(film) {
    this.film = film;
    const moving = film.format === "gif" ? still({ poster: film.src }) : video(film);
    this.find(".player").replaceChildren(moving);
    this.find(".player").style.aspectRatio = `${film.width} / ${film.height}`;
    this.find(".name").textContent = film.title;
    this.find(".facts").textContent = film.facts;
    this.find(".scenes").replaceChildren(...film.scenes.map(scene));
    this.find(".made").textContent = film.made;
    this.find(".figures").textContent = film.figures;
    this.find("details").open = false;
    this.find(".library").hidden = !film.own;
    this.find(".save").href = film.save;
    this.home = location.pathname; // Remix opens another page
    this.pushed = openFilm() !== film.id;
    if (this.pushed) history.pushState({}, "", addressOf(film.id));
    this.box.showModal();
    this.box.scrollTop = 0;
    if (film.format === "gif") return;
    moving.controls = true;
    moving.setAttribute("aria-label", film.title);
    if (motionIsOn()) moving.play().catch(() => {});
  }
}

function openFilm() {
  return new URL(location.href).searchParams.get("film");
}

function addressOf(film) {
  const url = new URL(location.href);
  if (film) url.searchParams.set("film", film);
  else url.searchParams.delete("film");
  return url;
}

function scene({ prompt, seconds }) {
  const item = element("li");
  item.append(element("q", "", prompt), element("span", "seconds", seconds));
  return item;
}

function still(film) {
  const image = element("img");
  Object.assign(image, { loading: "lazy", decoding: "async", alt: "", draggable: false });
  if (film.poster) image.src = film.poster;
  return image;
}

function video(film) {
  const moving = element("video", "moving");
  Object.assign(moving, { muted: true, loop: true, playsInline: true, src: film.src });
  if (film.poster) moving.poster = film.poster;
  return moving;
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
