const KINDS = ["step", "keyframe", "frame"];
const BLEND = 140; // milliseconds in which one denoising step fades into the next

// Draws the newest preview on a canvas, and its glow behind; steps fade into each other.
export class Picture {
  constructor(canvas, glow) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.glow = glow.getContext("2d");
    this.glow.filter = "blur(4px) saturate(1.5)"; // on a small canvas: on the page each took 30 ms
    this.before = document.createElement("canvas");
    this.reducedMotion = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.count = 0;
  }

  size(width, height) {
    for (const canvas of [this.canvas, this.before]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.context.imageSmoothingQuality = "high";
  }

  async receive(buffer, place) {
    const header = new DataView(buffer);
    const kind = KINDS[header.getUint8(0)];
    try {
      const image = await createImageBitmap(new Blob([new Uint8Array(buffer, 7)], { type: "image/jpeg" }));
      const index = header.getUint16(1);
      const canvas = place(kind, index);
      if (canvas === this.canvas) this.draw(image, kind, index, header.getUint16(3));
      else if (canvas) {
        Object.assign(canvas, { width: image.width, height: image.height });
        canvas.getContext("2d").drawImage(image, 0, 0);
      }
    } catch {
      // Skip a preview that cannot be decoded.
    }
  }

  draw(image, kind, index, step) {
    this.count += 1;
    Object.assign(this.canvas.dataset, { previews: this.count, kind, index, step });
    const now = performance.now();
    const fades = kind !== "frame" && now - this.since > 2 * BLEND && !this.reducedMotion.matches;
    if (fades) this.before.getContext("2d").drawImage(this.canvas, 0, 0);
    this.image?.close();
    this.image = image;
    this.since = now;
    this.blend = fades ? BLEND : 0;
    this.glow.clearRect(0, 0, this.glow.canvas.width, this.glow.canvas.height);
    this.glow.drawImage(image, 0, 0, this.glow.canvas.width, this.glow.canvas.height);
    this.paint();
  }

  paint() {
    const { width, height } = this.canvas;
    const share = this.blend ? Math.min(1, (performance.now() - this.since) / this.blend) : 1;
    this.context.globalAlpha = 1;
    if (share < 1) this.context.drawImage(this.before, 0, 0);
    this.context.globalAlpha = share;
    this.context.drawImage(this.image, 0, 0, width, height);
    cancelAnimationFrame(this.next);
    if (share < 1) this.next = requestAnimationFrame(() => this.paint());
  }
}
