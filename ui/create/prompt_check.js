// Shows beside a prompt, while it is being typed, which of its words the model knows. The page's one
// call with phrases teaches them; each other call is of a scene. It finds phrases as
// engine/film/vocabulary.py does. What is added to the prompt comes from Python, after a pause.

const WORD = /[\p{L}\p{N}]+/gu;
const SHORTEST_PLURAL = 4; // letters
const mounted = new Map(); // by the element of a scene: its data, and how to end it
let phrases = new Map(); // whether each means something
let longest = 1; // words

export default function ({ data, parentElement }) {
  if ("known" in data) {
    learn(data);
    return;
  }
  const scene = mounted.get(parentElement) ?? mount(parentElement);
  scene.data = data;
  draw(parentElement);
  return () => {
    mounted.get(parentElement)?.controller.abort();
    mounted.delete(parentElement);
  };
}

function learn({ known, ignored }) {
  phrases = new Map();
  for (const phrase of ignored.split("\n")) phrases.set(phrase, false);
  for (const phrase of known.split("\n")) phrases.set(phrase, true);
  longest = Math.max(...[...phrases.keys()].map((phrase) => phrase.split(" ").length));
  for (const element of mounted.keys()) draw(element);
}

function mount(element) {
  const controller = new AbortController();
  const onInput = ({ target }) => target === area(element) && draw(element);
  document.addEventListener("input", onInput, { signal: controller.signal });
  mounted.set(element, { controller });
  return mounted.get(element);
}

function area(element) {
  const { scene } = mounted.get(element).data;
  return document.querySelector(`.st-key-draft-prompt-${CSS.escape(scene)} textarea`);
}

function draw(element) {
  const { data } = mounted.get(element);
  const text = area(element)?.value ?? data.prompt;
  const words = element.querySelector(".words");
  const also = element.querySelector(".also");
  const parts = hear(text);
  const known = unique(parts.filter(({ meant }) => meant));
  const unknown = unique(parts.filter(({ meant }) => meant === undefined));
  words.hidden = !known.length && !unknown.length;
  words.replaceChildren(...listed("Understood: ", "b", known), ...listed("Not known: ", "s", unknown));
  also.hidden = !data.also || !text.trim();
  also.textContent = data.also;
  also.classList.toggle("stale", text.trim() !== data.prompt.trim());
}

function listed(label, tag, texts) {
  if (!texts.length) return [];
  const line = document.createElement("span");
  line.append(label);
  texts.forEach((text, index) => {
    const word = document.createElement(tag);
    word.textContent = text;
    line.append(...(index ? [" · ", word] : [word]));
  });
  return [line];
}

const unique = (parts) => [...new Set(parts.map(({ text }) => text))];

// The parts of a text: phrases, and words that are in none. `meant` is undefined for the latter, and
// false for what means nothing.
export function hear(text) {
  const words = [...text.matchAll(WORD)].map((match) => ({
    word: match[0].toLowerCase(),
    start: match.index,
    end: match.index + match[0].length,
  }));
  const parts = [];
  for (let at = 0; at < words.length; ) {
    let size = Math.min(longest, words.length - at);
    let meant = lookUp(words.slice(at, at + size));
    while (meant === undefined && size > 1) meant = lookUp(words.slice(at, at + --size));
    parts.push({ text: text.slice(words[at].start, words[at + size - 1].end), meant });
    at += size;
  }
  return parts;
}

function lookUp(words) {
  const first = words.slice(0, -1).map(({ word }) => `${word} `).join("");
  const found = singulars(words.at(-1).word).find((last) => phrases.has(first + last));
  return found === undefined ? undefined : phrases.get(first + found);
}

function singulars(word) {
  const found = [word];
  if (word.length < SHORTEST_PLURAL || !word.endsWith("s")) return found;
  found.push(word.slice(0, -1));
  if (word.endsWith("es")) found.push(word.slice(0, -2));
  if (word.endsWith("ies")) found.push(`${word.slice(0, -3)}y`);
  return found;
}
