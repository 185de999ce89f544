// Submits the text of a text area or of a search after a pause in typing, by sending the keys that
// Streamlit has for it, so that focus and caret stay. Focuses the first prompt if nothing has the
// focus, and scrolls to a scene that was added.

const REST = 800; // milliseconds
const APPLY = { key: "Enter", code: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
const SETTLED = '[data-test-script-state="notRunning"]'; // set by Streamlit when a page is drawn
const PROMPTS = '[class*="st-key-draft-prompt-"] textarea';
const mounted = new WeakMap();

export default function ({ data, parentElement }) {
  if (!mounted.has(parentElement)) mounted.set(parentElement, mount(data.offers));
  return () => {
    mounted.get(parentElement)?.();
    mounted.delete(parentElement);
  };
}

function mount(offers) {
  const life = new AbortController();
  const { signal } = life;
  const fine = window.matchMedia("(pointer: fine)").matches;
  let resting, offering, adding;
  const heard = ({ target, isComposing }) => {
    clearTimeout(resting);
    if (isComposing || !(target.tagName === "TEXTAREA" || target.closest(".st-key-search"))) return;
    resting = setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", APPLY)), REST);
  };
  let looks = 0; // at an empty prompt on a finished page: its text may arrive a little later
  const offer = () => {
    const prompt = document.querySelector(".stTextArea textarea");
    const { activeElement: holder, body } = document;
    if (prompt && (prompt.value || (holder !== body && !holder.closest(".stMain")))) return;
    looks = prompt && holder === body && document.querySelector(SETTLED) ? looks + 1 : 0;
    if (looks === 3) prompt.focus();
    else offering = setTimeout(offer, 50);
  };
  const add = ({ target }) => {
    if (!target.closest(".st-key-add-scene")) return;
    const before = document.querySelectorAll(PROMPTS).length;
    const look = () => {
      const prompts = document.querySelectorAll(PROMPTS);
      if (prompts.length !== before + 1 || !document.querySelector(SETTLED)) {
        adding = setTimeout(look, 50);
        return;
      }
      prompts[before].scrollIntoView({ block: "nearest" });
      document.querySelector(".st-key-strip").scrollTo({ left: 1e6 });
      if (fine) prompts[before].focus({ preventScroll: true });
    };
    look();
  };
  document.addEventListener("click", add, { signal });
  for (const kind of ["pointerdown", "keydown"])
    document.addEventListener(kind, () => clearTimeout(adding), { signal, capture: true });
  const kinds = ["input", "compositionend"];
  for (const kind of kinds) document.addEventListener(kind, heard, { signal });
  document.addEventListener("pointerdown", () => clearTimeout(offering), { signal });
  // Only if the user came by a click, and not on a phone, where the keyboard would cover the page.
  const clicked = navigator.userActivation?.hasBeenActive;
  if (offers && clicked && fine) offer();
  return () => {
    life.abort();
    clearTimeout(resting);
    clearTimeout(offering);
    clearTimeout(adding);
  };
}
