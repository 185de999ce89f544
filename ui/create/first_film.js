// Focuses the prompt of the front page, so that a visitor can type at once: not on a phone, where
// the keyboard would cover the page, and not if something else has the focus.

const SETTLED = '[data-test-script-state="notRunning"]'; // set by Streamlit when a page is drawn

export default function () {
  if (!window.matchMedia("(pointer: fine)").matches) return undefined;
  const timer = setInterval(() => {
    const prompt = document.querySelector(".st-key-first-film-prompt input");
    if (!prompt || !document.querySelector(SETTLED)) return;
    clearInterval(timer);
    if (document.activeElement === document.body) prompt.focus({ preventScroll: true });
  }, 50);
  return () => clearInterval(timer);
}
