// Hands the words of a text area in once the hand rests, by the keys that Streamlit has for it:
// neither the focus nor the caret moves. Gives the first prompt the focus where nothing has it.

const REST = 800; // milliseconds
const PATIENCE = 3000; // for the page to be drawn
const APPLY = { key: "Enter", code: "Enter", ctrlKey: true, bubbles: true, cancelable: true };
const mounted = new WeakMap();

export default function ({ parentElement }) {
  if (!mounted.has(parentElement)) mounted.set(parentElement, mount());
  return () => {
    mounted.get(parentElement)?.();
    mounted.delete(parentElement);
  };
}

function mount() {
  let resting, offering;
  const heard = ({ target, isComposing }) => {
    clearTimeout(resting);
    if (target.tagName !== "TEXTAREA" || isComposing) return;
    resting = setTimeout(() => target.dispatchEvent(new KeyboardEvent("keydown", APPLY)), REST);
  };
  const offer = (since = performance.now()) => {
    const prompt = document.querySelector(".stTextArea textarea");
    if (prompt?.value || performance.now() > since + PATIENCE) return;
    if (prompt && document.activeElement === document.body) prompt.focus();
    else offering = setTimeout(offer, 50, since);
  };
  const kinds = ["input", "compositionend"];
  for (const kind of kinds) document.addEventListener(kind, heard);
  // Who came by a click wants to write; a keyboard that unfolds over a phone's page is in the way.
  const clicked = navigator.userActivation?.hasBeenActive;
  if (clicked && window.matchMedia("(pointer: fine)").matches) offer();
  return () => {
    for (const kind of kinds) document.removeEventListener(kind, heard);
    clearTimeout(resting);
    clearTimeout(offering);
  };
}
