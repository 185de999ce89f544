// The stages of a film that is being made, and its strip of keyframes.

export function drawTimeline(list, steps) {
  while (list.children.length < steps.length) list.append(phase());
  steps.forEach((step, index) => {
    const item = list.children[index];
    item.dataset.state = step.state;
    item.querySelector(".name").textContent = step.name;
    item.querySelector(".count").textContent = step.count;
    if (step.state === "active") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function phase() {
  const item = document.createElement("li");
  for (const name of ["dot", "name", "count"]) {
    const part = document.createElement("span");
    part.className = name;
    item.append(part);
  }
  return item;
}

// The strip: thumbnails of keyframes in order of time, and the progress of the segments between.
export function drawStrip(strip, state, address) {
  const order = [...state.strip, ...Array(state.more).fill(null)];
  const layout = order.join();
  if (strip.dataset.layout !== layout) {
    strip.dataset.layout = layout;
    const known = new Map([...strip.querySelectorAll("[data-index]")].map((one) => [one.dataset.index, one]));
    strip.replaceChildren(
      ...order.flatMap((index, place) => {
        const frame = known.get(String(index)) ?? cell("keyframe");
        if (index !== null) frame.dataset.index = index;
        return place ? [cell("gap"), frame] : [frame];
      }),
    );
    if (state.ends.length === order.length) strip.append(cell("gap")); // from the last keyframe to the first
  }
  const pictures = new Set(state.pictures);
  state.keyframes.forEach((done, index) => {
    const frame = strip.querySelector(`[data-index="${index}"]`);
    frame.dataset.state = done ? "done" : state.painting.includes(index) ? "active" : "todo";
    frame.title = state.remarks[index] ?? "";
    frame.classList.toggle("odd", Boolean(frame.title));
    if (pictures.has(index) && !frame.querySelector("img")) {
      const image = document.createElement("img");
      image.alt = `Keyframe ${state.strip.indexOf(index) + 1}`;
      image.src = address(index);
      image.onload = () => frame.classList.add("shown");
      frame.append(image);
    }
    if (index === state.painting[0]) scrollToFrame(strip, frame);
  });
  state.segments.forEach((share, index) => {
    const gap = strip.querySelector(`[data-index="${state.ends[index][0]}"]`).nextSibling;
    gap?.style.setProperty("--share", share);
  });
}

function cell(name) {
  const element = document.createElement("span");
  element.className = name;
  return element;
}

// Returns the canvas in a keyframe's cell on which its previews are drawn.
export function previewCanvas(frame) {
  let canvas = frame?.querySelector("canvas");
  if (frame && !canvas) {
    canvas = document.createElement("canvas");
    frame.prepend(canvas);
  }
  return canvas;
}

function scrollToFrame(strip, frame) {
  if (strip.dataset.revealed === String(frame.offsetLeft)) return;
  strip.dataset.revealed = String(frame.offsetLeft);
  strip.scrollTo({ left: frame.offsetLeft - strip.clientWidth / 2, behavior: "smooth" });
}
