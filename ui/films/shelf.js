// A grid of films. A card plays while it is hovered or focused and, on devices without a pointer,
// while it is in view. A choice is sent to Python.

import { motionIsOn, onMotion } from "../shell/motion.js";

const mounted = new WeakMap();
const HEART = "M12 20.5C5 15.4 2.5 12 2.5 8.6A5 5 0 0 1 12 6.3a5 5 0 0 1 9.5 2.3c0 3.4-2.5 6.8-9.5 11.9z";
const DOTS = "M5 12h.01M12 12h.01M19 12h.01";

export default function ({ data, parentElement, setTriggerValue }) {
  const shelf = mounted.get(parentElement) ?? new Shelf(parentElement);
  mounted.set(parentElement, shelf);
  shelf.choose = (action, job = "") => setTriggerValue("chosen", { action, job });
  shelf.show(data);
  return () => {
    shelf.close();
    mounted.delete(parentElement);
  };
}

class Shelf {
  constructor(root) {
    this.grid = root.querySelector(".grid");
    this.further = root.querySelector(".further");
    this.menu = new Menu(root.querySelector(".menu"), this);
    this.cards = new Map();
    this.playing = null;
    this.touch = window.matchMedia("(hover: none)").matches;
    this.visibility = new IntersectionObserver((entries) => this.onVisibility(entries), {
      threshold: [0, 0.75],
    });
    this.endObserver = new IntersectionObserver(([entry]) => entry.isIntersecting && this.requestMore(), {
      rootMargin: "600px",
    });
    this.further.onclick = () => this.requestMore();
    this.unsubscribe = onMotion(() => (motionIsOn() && !document.hidden ? null : this.stop()));
  }

  show({ films, label, more, row }) {
    this.grid.classList.toggle("row", row);
    this.grid.setAttribute("aria-label", label);
    const before = this.cards;
    this.cards = new Map(films.map((film) => [film.job, this.cardOf(before, film)]));
    const cards = [...this.cards.values()];
    if (cards.some((card, index) => this.grid.children[index] !== card)) {
      this.grid.replaceChildren(...cards);
    }
    while (this.grid.children.length > cards.length) this.grid.lastChild.remove();
    this.further.hidden = !more;
    this.requested = false;
    this.endObserver.unobserve(this.further);
    if (more) this.endObserver.observe(this.further);
  }

  requestMore() {
    if (this.requested || this.further.hidden) return;
    this.requested = true;
    this.choose("more");
  }

  close() {
    this.unsubscribe();
    this.visibility.disconnect();
    this.endObserver.disconnect();
    this.stop();
  }

  // Keep the card of a film that is still shown, so that its image and the focus stay.
  cardOf(cards, film) {
    let card = cards.get(film.job);
    if (card?.film.src !== film.src || card?.film.poster !== film.poster) card = null;
    card ??= this.make(film);
    this.fill(card, film);
    return card;
  }

  make(film) {
    const card = element("li", "card");
    const open = button("open");
    const screen = element("span", "screen");
    screen.append(still(film));
    if (film.poster) screen.style.setProperty("--poster", `url("${encodeURI(film.poster)}")`);
    const text = element("span", "words");
    text.append(element("span", "title"), element("span", "facts"));
    open.append(screen, text);
    card.append(open, icon("heart", HEART), icon("dots", DOTS), button("go"));
    card.find = (selector) => card.querySelector(selector);
    open.onmouseenter = open.onfocus = () => this.play(card);
    card.onmouseleave = open.onblur = () => this.stop(card);
    if (this.touch) this.visibility.observe(card);
    return card;
  }

  fill(card, film) {
    const { find } = card;
    const [first, ...others] = film.favourite === null ? film.actions : [null, ...film.actions];
    card.film = film;
    card.dataset.job = film.job;
    find(".title").textContent = film.line;
    find(".facts").textContent = film.facts;
    find(".open").title = film.title;
    find(".open").disabled = Boolean(film.still);
    find(".open").onclick = () => this.choose("open", film.job);
    find(".screen").dataset.call = film.call ?? "";
    find(".heart").hidden = film.favourite === null || Boolean(film.call);
    find(".heart").setAttribute("aria-pressed", String(Boolean(film.favourite)));
    find(".heart").setAttribute("aria-label", `Favourite: ${film.title}`);
    find(".heart").onclick = () => this.choose("favour", film.job);
    find(".dots").hidden = others.length === 0;
    find(".dots").setAttribute("aria-label", `More for ${film.title}`);
    find(".dots").setAttribute("aria-haspopup", "menu");
    find(".dots").onclick = () => this.menu.open(find(".dots"), film, others);
    find(".go").hidden = !first;
    if (first) find(".go").textContent = first[1];
    if (first) find(".go").setAttribute("aria-label", `${first[1]}: ${film.title}`);
    if (first) find(".go").onclick = () => this.choose(first[0], film.job);
    this.advance(find(".screen"), film.share);
  }

  advance(screen, share) {
    const bar = screen.querySelector(".bar") ?? screen.appendChild(element("span", "bar"));
    bar.hidden = share === undefined || share === null;
    bar.style.setProperty("--share", share ?? 0);
  }

  // One card plays at a time; its video is removed when it stops.
  play(card) {
    const { film } = card;
    if (!film.src || !motionIsOn() || document.hidden || this.playing === card) return;
    this.stop();
    this.playing = card;
    const moving = film.format === "gif" ? element("img", "moving") : video(film);
    moving.addEventListener(film.format === "gif" ? "load" : "playing", () => {
      if (!moving.isConnected) return; // it has stopped already
      moving.classList.add("shown");
      card.dataset.playing = "";
    });
    if (film.format === "gif") moving.src = film.src;
    card.find(".screen").append(moving);
    moving.play?.().catch(() => {});
  }

  stop(card = this.playing) {
    if (!card || card !== this.playing) return;
    this.playing = null;
    delete card.dataset.playing;
    const moving = card.find(".moving");
    moving?.removeAttribute("src");
    moving?.load?.(); // closes the connection
    moving?.remove();
  }

  onVisibility(entries) {
    for (const { target, intersectionRatio } of entries) {
      if (intersectionRatio >= 0.75) this.play(target);
      else this.stop(target);
    }
  }
}

class Menu {
  constructor(box, shelf) {
    this.box = box;
    this.shelf = shelf;
    box.onkeydown = (event) => this.move(event);
    box.ontoggle = ({ newState }) => {
      this.opener?.setAttribute("aria-expanded", String(newState === "open"));
    };
  }

  open(opener, film, actions) {
    this.opener = opener;
    const items = actions.map(([action, label]) => {
      const item = button(`item ${action}`);
      item.setAttribute("role", "menuitem");
      item.textContent = label;
      item.onclick = () => this.close(() => this.shelf.choose(action, film.job));
      return item;
    });
    if (film.save) items.splice(-1, 0, this.download(film));
    this.box.setAttribute("aria-label", film.title);
    this.box.replaceChildren(...items);
    this.box.showPopover();
    this.place(opener.getBoundingClientRect());
    items[0].focus();
  }

  download(film) {
    const link = element("a", "item");
    link.setAttribute("role", "menuitem");
    link.href = film.save;
    link.download = "";
    link.textContent = `Download ${film.format.toUpperCase()}`;
    link.onclick = () => this.close();
    return link;
  }

  close(then = () => {}) {
    this.box.hidePopover();
    this.opener.focus();
    then();
  }

  place({ right, bottom, top }) {
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const below = bottom + 6 + height <= window.innerHeight;
    this.box.style.left = `${Math.max(8, Math.min(right - width, window.innerWidth - width - 8))}px`;
    this.box.style.top = `${below ? bottom + 6 : Math.max(8, top - 6 - height)}px`;
  }

  move(event) {
    const items = [...this.box.children];
    const at = items.indexOf(this.box.getRootNode().activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") this.close();
    if (to === undefined && event.key !== "Escape") return;
    event.preventDefault();
    items[(to + items.length) % items.length]?.focus();
  }
}

function element(name, kind, text = "") {
  const made = document.createElement(name);
  made.className = kind;
  made.textContent = text;
  return made;
}

function button(kind) {
  return Object.assign(element("button", kind), { type: "button" });
}

function icon(kind, path) {
  const made = button(`icon ${kind}`);
  made.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path/></svg>';
  made.querySelector("path").setAttribute("d", path);
  return made;
}

// The thumbnail of the first keyframe; a film without one shows its own first frame.
function still(film) {
  const bare = !film.poster && film.src && film.format !== "gif";
  const made = element(bare ? "video" : "img", "still");
  if (bare) return Object.assign(made, { preload: "metadata", muted: true, tabIndex: -1, src: film.src });
  Object.assign(made, { loading: "lazy", decoding: "async", alt: "" });
  made.onerror = () => made.remove();
  made.src = film.poster || film.src;
  return film.poster || film.src ? made : element("span", "still");
}

function video(film) {
  const made = element("video", "moving");
  Object.assign(made, { muted: true, loop: true, playsInline: true, preload: "auto", tabIndex: -1 });
  made.setAttribute("aria-hidden", "true");
  made.src = film.src;
  return made;
}
