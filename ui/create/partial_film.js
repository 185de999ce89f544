// Plays the finished part of a film over the preview while the rest is made. At its end it continues
// with the segments that were finished meanwhile, or starts again.
export class PartialFilm {
  constructor(screen, button) {
    this.screen = screen;
    this.button = button;
    button.onclick = () => (this.video ? this.close() : this.open());
  }

  offer(ready) {
    this.ready = ready;
    this.button.hidden = !ready;
    if (!ready) this.close();
  }

  open() {
    const video = document.createElement("video");
    Object.assign(video, { className: "partial-film", controls: true, muted: true, playsInline: true });
    video.setAttribute("aria-label", "What is finished of your film");
    video.onended = () => this.playNext();
    video.onerror = () => this.close();
    this.video = video;
    this.screen.append(video);
    this.button.textContent = "Back to live";
    this.load(0);
  }

  load(from) {
    const { video } = this;
    this.count = this.ready;
    video.src = this.address + this.count;
    video.onloadedmetadata = () => {
      video.currentTime = from;
      video.play().catch(() => {}); // the user can press Play
    };
  }

  playNext() {
    if (this.ready > this.count) return this.load(this.video.duration);
    this.video.currentTime = 0;
    this.video.play().catch(() => {});
  }

  close() {
    if (!this.video) return;
    Object.assign(this.video, { onended: null, onerror: null, onloadedmetadata: null });
    this.video.removeAttribute("src");
    this.video.remove();
    this.video = null;
    this.button.textContent = "Play what is finished";
  }
}
