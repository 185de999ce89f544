// The switch for all motion on a page, stored by the browser.

export const REDUCED_MOTION = window.matchMedia("(prefers-reduced-motion: reduce)");
const SWITCH = "visionflux-motion";
const PAUSE = "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z";
const PLAY = "M8 5v14l11-7z";

export function motionIsOn() {
  return (localStorage.getItem(SWITCH) ?? (REDUCED_MOTION.matches ? "off" : "on")) === "on";
}

// Let a button with a path and a label be the switch; return what ends that.
export function motionButton(button) {
  const show = () => {
    button.querySelector("path").setAttribute("d", motionIsOn() ? PAUSE : PLAY);
    button.querySelector(".label").textContent = motionIsOn() ? "Pause motion" : "Play motion";
  };
  button.onclick = () => {
    localStorage.setItem(SWITCH, motionIsOn() ? "off" : "on");
    window.dispatchEvent(new Event(SWITCH));
  };
  show();
  return onMotion(show);
}

export function onMotion(listener) {
  const events = [[window, SWITCH], [REDUCED_MOTION, "change"], [document, "visibilitychange"]];
  for (const [target, name] of events) target.addEventListener(name, listener);
  return () => events.forEach(([target, name]) => target.removeEventListener(name, listener));
}
