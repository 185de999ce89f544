// Plays a film, a video or a GIF, and has links that save it in each format.

import { converted } from "./convert.js";

export default function ({ data, parentElement }) {
  const find = (selector) => parentElement.querySelector(selector);
  const video = find("video");
  const image = find("img");
  const shown = data.format === "gif" ? image : video;
  const other = data.format === "gif" ? video : image;
  shown.hidden = false;
  other.hidden = true;
  const glow = find(".glow");
  glow.style.backgroundImage = data.poster ? `url("${encodeURI(data.poster)}")` : "none";
  shown.style.aspectRatio = `${data.width} / ${data.height}`;
  find(".screen").style.setProperty("--ratio", data.width / data.height);
  if (shown.getAttribute("src") !== data.src) {
    if (shown === video && data.poster) video.poster = data.poster;
    shown.src = data.src;
    shown.setAttribute("aria-label", data.title);
    if (shown === video && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      video.play().catch(() => {}); // the browser may require a click first
    }
  }
  const save = find(".save");
  save.href = data.save;
  save.setAttribute("download", "");
  save.textContent = data.label;
  find(".facts").textContent = data.facts;
  const others = data.others.map((kind) => conversion(data, kind, find(".word")));
  if (find(".others").dataset.of !== data.src) find(".others").replaceChildren(...others);
  find(".others").dataset.of = data.src;
  find(".copies").replaceChildren(...copies(data, find(".word")));
}

// Buttons that copy the poster and the recipe and, where the system can, share the film's file.
function copies(film, message) {
  const copy = (label, done, action) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: label });
    button.onclick = () => action().then(
      () => (message.textContent = done),
      (problem) => problem.name === "AbortError" || (message.textContent = "The browser did not allow this."),
    );
    return button;
  };
  const buttons = [];
  if (film.recipe)
    buttons.push(copy("Copy recipe", "The recipe is copied.", async () => navigator.clipboard.writeText(film.recipe)));
  if (film.poster && window.ClipboardItem)
    buttons.push(copy("Copy poster", "The poster is copied.", async () =>
      navigator.clipboard.write([new ClipboardItem({ "image/png": png(film.poster) })])));
  const probe = new File([], "film.mp4", { type: "video/mp4" });
  if (navigator.canShare?.({ files: [probe] }))
    buttons.push(copy("Share", "", async () => {
      const file = await (await fetch(film.src)).blob();
      await navigator.share({ files: [new File([file], `film.${film.format}`, { type: file.type })] });
    }));
  return buttons;
}

async function png(address) {
  const image = await createImageBitmap(await (await fetch(address)).blob());
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// A button that requests a conversion of the film, then saves it.
function conversion(film, kind, message) {
  const button = document.createElement("button");
  const name = kind === "webm" ? "WebM" : kind.toUpperCase();
  button.type = "button";
  button.textContent = name;
  button.setAttribute("aria-label", `Download ${name}`);
  const onProgress = (share) => {
    button.textContent = `${name} · ${Math.floor(share * 100)} %`;
    button.style.setProperty("--share", share);
  };
  button.onclick = async () => {
    button.disabled = true;
    message.textContent = `Converting to ${name}…`;
    try {
      const address = await converted(film, kind, onProgress);
      message.textContent = `Your ${name} is ready.`;
      Object.assign(document.createElement("a"), { href: `${address}&save`, download: "" }).click();
    } catch (problem) {
      message.textContent = problem.message;
    }
    button.disabled = false;
    button.textContent = name;
    button.style.setProperty("--share", 0);
  };
  return button;
}
