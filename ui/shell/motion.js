// One switch for all that moves on a page; the browser remembers it. Comes before a component's
// own script, so each component has its own copy; the event tells the others.

const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");
const SWITCH = "visionflux-motion";

function moves() {
  return (localStorage.getItem(SWITCH) ?? (CALM.matches ? "off" : "on")) === "on";
}

function setMotion(on) {
  localStorage.setItem(SWITCH, on ? "on" : "off");
  window.dispatchEvent(new Event(SWITCH));
}

function onMotion(react) {
  const events = [[window, SWITCH], [CALM, "change"], [document, "visibilitychange"]];
  for (const [target, name] of events) target.addEventListener(name, react);
  return () => events.forEach(([target, name]) => target.removeEventListener(name, react));
}
