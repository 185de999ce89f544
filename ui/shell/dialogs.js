// Dialogs of Streamlit: the browser's Back button closes them, their field has the focus, and no
// shortcut of Streamlit's closes them while something is being written.

const DIALOG = '[data-testid="stDialog"]';
const FIELDS = "input:not([type=hidden]), textarea";
const EDITABLE = "input:not([type=radio]), textarea, [contenteditable]";
const FIELD_WAIT = 1500; // milliseconds in which a dialog's field appears
const TEXT_WAIT = 400; // milliseconds in which the text of the field follows, so that all of it is selected
let open = false;
let returning = false; // from the history entry of a dialog that is closed

new MutationObserver(() => {
  const dialog = document.querySelector(DIALOG);
  if (Boolean(dialog) === open) return;
  open = Boolean(dialog);
  if (open) {
    history.pushState({ dialog: true }, "");
    focusField(dialog, performance.now() + FIELD_WAIT);
  } else if (history.state?.dialog) {
    returning = true;
    history.back();
  }
}).observe(document.documentElement, { childList: true, subtree: true });

function focusField(dialog, until, textUntil = Infinity) {
  const field = dialog.querySelector(FIELDS);
  const now = performance.now();
  if (field && (field.value || now > textUntil)) {
    field.focus();
    if (field.type === "text") field.select();
  } else if (dialog.isConnected && (field || now < until)) {
    const last = field ? Math.min(textUntil, now + TEXT_WAIT) : textUntil;
    setTimeout(() => focusField(dialog, until, last), 50);
  }
}

// If the user goes back, Streamlit draws the page again, without the dialog. It must not do so when
// only the entry of a closed dialog is left.
window.addEventListener("popstate", (event) => {
  if (!returning) return;
  returning = false;
  event.stopImmediatePropagation();
}, { capture: true });

window.addEventListener("keydown", (event) => {
  const shortcut = !(event.ctrlKey || event.metaKey || event.altKey) && event.key.length === 1;
  if (open && shortcut && !event.target.closest?.(EDITABLE)) event.stopImmediatePropagation();
}, { capture: true });
