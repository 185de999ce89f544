// Plays one film: a video, or a GIF as a picture, and the links that save it.

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
  if (shown.getAttribute("src") !== data.src) {
    if (shown === video && data.poster) video.poster = data.poster;
    shown.src = data.src;
    shown.setAttribute("aria-label", data.title);
    if (shown === video && !window.matchMedia("(prefers-reduced-motion: reduce)").matches) {
      video.play().catch(() => {}); // the browser may want a click first; the controls are there
    }
  }
  const save = find(".save");
  save.href = data.save;
  save.setAttribute("download", "");
  save.textContent = data.label;
  find(".facts").textContent = data.facts;
}
