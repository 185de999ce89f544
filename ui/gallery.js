// A grid of films that play while pointed at or focused; choosing one tells Python which.

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  const known = new Map([...grid.children].map((card) => [card.dataset.job, card]));
  grid.replaceChildren(
    ...data.films.map((film) => known.get(film.job) ?? card(film)),
  );
  for (const element of grid.children) {
    element.onclick = () => setTriggerValue("opened", element.dataset.job);
  }
}

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");

function card(film) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "card";
  button.dataset.job = film.job;
  const screen = document.createElement("span");
  screen.className = "screen";
  screen.append(film.format === "gif" ? picture(film) : video(film, button));
  const title = document.createElement("span");
  title.className = "title";
  title.textContent = film.title;
  const facts = document.createElement("span");
  facts.className = "facts";
  facts.textContent = film.facts;
  button.append(screen, title, facts);
  return button;
}

function picture(film) {
  const image = document.createElement("img");
  image.loading = "lazy";
  image.alt = "";
  image.src = film.src;
  return image;
}

function video(film, button) {
  const element = document.createElement("video");
  Object.assign(element, { muted: true, loop: true, playsInline: true });
  element.preload = film.poster ? "none" : "metadata";
  if (film.poster) element.poster = film.poster;
  element.src = film.src;
  const play = () => element.play().catch(() => {});
  const rest = () => element.pause();
  button.onmouseenter = button.onfocus = play;
  button.onmouseleave = button.onblur = rest;
  if (window.matchMedia("(hover: none)").matches && !STILL.matches) {
    new IntersectionObserver(([entry]) => (entry.isIntersecting ? play() : rest()), { threshold: 0.7 })
      .observe(element); // where nothing can point, what is in view plays
  }
  return element;
}
