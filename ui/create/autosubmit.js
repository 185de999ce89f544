// Submits the text of a text area or of a search after a pause in typing, by sending the keys that
// Streamlit has for it, so that focus and caret stay. Delays a change of the page until what was
// typed last has arrived. The user's own Ctrl+Enter presses Generate. Focuses the first prompt if
// nothing has the focus, and scrolls to a scene that was added.

import { once } from "../shell/mount.js";

const TYPING_PAUSE = 800; // milliseconds
const APPLY = { key: "Enter", code: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
const SETTLED = '[data-test-script-state="notRunning"]'; // set by Streamlit when a page is drawn
const ARRIVAL = 5000; // milliseconds in which what was typed arrives before the page changes
const PAGE_LINKS = '[data-testid="stTopNavLink"], [data-testid="stSidebarNavLink"]';
const GENERATE = ".st-key-generate button:enabled";
const PROMPTS = '[class*="st-key-draft-prompt-"] textarea';

export default once((_root, { offers }) => mount(offers));

function mount(offers) {
  const controller = new AbortController();
  const { signal } = controller;
  const finePointer = window.matchMedia("(pointer: fine)").matches;
  let submitTimer, focusTimer, sceneTimer;
  let typedAt = -Infinity;
  const onInput = ({ target, isComposing }) => {
    clearTimeout(submitTimer);
    if (isComposing || !(target.tagName === "TEXTAREA" || target.closest(".st-key-search"))) return;
    typedAt = performance.now();
    const submit = () => target.dispatchEvent(new KeyboardEvent("keydown", APPLY));
    submitTimer = setTimeout(submit, TYPING_PAUSE);
  };
  let attempts = 0; // the text of an empty prompt may arrive a little after the page is drawn
  const focusPrompt = () => {
    const prompt = document.querySelector(".stTextArea textarea");
    const { activeElement: focused, body } = document;
    if (prompt && (prompt.value || (focused !== body && !focused.closest(".stMain")))) return;
    attempts = prompt && focused === body && document.querySelector(SETTLED) ? attempts + 1 : 0;
    if (attempts === 3) prompt.focus();
    else focusTimer = setTimeout(focusPrompt, 50);
  };
  const onClick = ({ target }) => {
    if (!target.closest(".st-key-add-scene")) return;
    const before = document.querySelectorAll(PROMPTS).length;
    const focusScene = () => {
      const prompts = document.querySelectorAll(PROMPTS);
      if (prompts.length !== before + 1 || !document.querySelector(SETTLED)) {
        sceneTimer = setTimeout(focusScene, 50);
        return;
      }
      prompts[before].scrollIntoView({ block: "nearest" });
      document.querySelector(".st-key-strip").scrollTo({ left: 1e6 });
      if (finePointer) prompts[before].focus({ preventScroll: true });
    };
    focusScene();
  };
  // Streamlit would drop what it has not sent yet when another page is requested.
  const onPageLink = (event) => {
    const link = event.target.closest(PAGE_LINKS);
    const limit = typedAt + ARRIVAL;
    if (!link || !event.isTrusted || performance.now() > typedAt + 2 * TYPING_PAUSE) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.activeElement?.blur(); // which submits the text
    let settled = 0;
    const follow = () => {
      settled = document.querySelector(SETTLED) ? settled + 1 : 0;
      if (settled > 3 || performance.now() > limit) link.click();
      else setTimeout(follow, 50);
    };
    setTimeout(follow, 50);
  };
  const onKey = (event) => {
    const { key, ctrlKey, metaKey, isTrusted, target } = event;
    if (!offers || !isTrusted || key !== "Enter" || !(ctrlKey || metaKey)) return;
    if (!target.closest?.(".stTextArea")) return;
    setTimeout(() => document.querySelector(GENERATE)?.click()); // after Streamlit has the text
  };
  window.addEventListener("click", onPageLink, { signal, capture: true });
  document.addEventListener("keydown", onKey, { signal });
  document.addEventListener("click", onClick, { signal });
  for (const kind of ["pointerdown", "keydown"])
    document.addEventListener(kind, () => clearTimeout(sceneTimer), { signal, capture: true });
  const kinds = ["input", "compositionend"];
  for (const kind of kinds) document.addEventListener(kind, onInput, { signal });
  document.addEventListener("pointerdown", () => clearTimeout(focusTimer), { signal });
  // Only if the user has clicked before, and not on a phone, where the keyboard would cover the page.
  const clicked = navigator.userActivation?.hasBeenActive;
  if (offers && clicked && finePointer) focusPrompt();
  return () => {
    controller.abort();
    clearTimeout(submitTimer);
    clearTimeout(focusTimer);
    clearTimeout(sceneTimer);
  };
}
