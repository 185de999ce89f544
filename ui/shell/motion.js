// The switch for all motion on a page, stored by the browser.

export const CALM = window.matchMedia("(prefers-reduced-motion: reduce)");
const SWITCH = "visionflux-motion";

export function moves() {
  return (localStorage.getItem(SWITCH) ?? (CALM.matches ? "off" : "on")) === "on";
}

export function setMotion(on) {
  localStorage.setItem(SWITCH, on ? "on" : "off");
  window.dispatchEvent(new Event(SWITCH));
}

export function onMotion(react) {
  const events = [[window, SWITCH], [CALM, "change"], [document, "visibilitychange"]];
  for (const [target, name] of events) target.addEventListener(name, react);
  return () => events.forEach(([target, name]) => target.removeEventListener(name, react));
}
