// The switch for all motion on a page, stored by the browser.

export const REDUCED_MOTION = window.matchMedia("(prefers-reduced-motion: reduce)");
const SWITCH = "visionflux-motion";

export function motionIsOn() {
  return (localStorage.getItem(SWITCH) ?? (REDUCED_MOTION.matches ? "off" : "on")) === "on";
}

export function setMotion(on) {
  localStorage.setItem(SWITCH, on ? "on" : "off");
  window.dispatchEvent(new Event(SWITCH));
}

export function onMotion(listener) {
  const events = [[window, SWITCH], [REDUCED_MOTION, "change"], [document, "visibilitychange"]];
  for (const [target, name] of events) target.addEventListener(name, listener);
  return () => events.forEach(([target, name]) => target.removeEventListener(name, listener));
}
