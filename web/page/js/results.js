/** The list of faces: for each what the network saw, its label and the probabilities of all classes. */

import { percent } from "./verdicts.js";

/** @typedef {import("./worker.js").Face} Face */
/** @typedef {import("./verdicts.js").Verdict} Verdict */

/** The most faces with bars; more would be hard to read, and slow to draw. */
export const MOST_CARDS = 40;

/**
 * Show the faces that were found. Cards that are there already are filled anew, so that nothing flickers, unless the
 * labels are others.
 * @param {HTMLElement} list
 * @param {Face[]} faces
 * @param {Verdict[]} verdicts of the faces
 * @param {string[]} labels in the order of the bars
 * @param {number[]} numbers of the faces; by default 1, 2, and so on
 */
export function showFaces(list, faces, verdicts, labels, numbers = faces.map((_, i) => i + 1)) {
  const count = Math.min(faces.length, MOST_CARDS);
  const bars = JSON.stringify(labels);
  if (list.dataset.labels !== bars) list.replaceChildren();
  list.dataset.labels = bars;
  while (list.children.length > count) list.lastElementChild?.remove();
  while (list.children.length < count) list.append(makeCard(labels));
  for (let i = 0; i < count; i++) {
    fill(/** @type {HTMLElement} */ (list.children[i]), faces[i], verdicts[i], numbers[i], verdicts.length);
  }
}

/**
 * Make an element.
 * @param {string} tag
 * @param {string} name its class
 * @param {...(Node | string)} content
 * @returns {HTMLElement}
 */
function make(tag, name, ...content) {
  const element = document.createElement(tag);
  element.className = name;
  element.append(...content);
  return element;
}

/**
 * Make the card of a face, with an empty bar for each class.
 * @param {string[]} labels
 * @returns {HTMLElement}
 */
function makeCard(labels) {
  const picture = document.createElement("canvas");
  picture.className = "cut";
  picture.setAttribute("role", "img");
  const bars = labels.map((label) =>
    make(
      "tr",
      "",
      Object.assign(make("th", "", label), { scope: "row" }),
      make("td", "track", make("div", "bar")),
      make("td", "share"),
    ),
  );
  const heading = make("div", "words", make("h3", "", make("span", "number"), make("span", "label")), make("p", "quiet"));
  const table = make("table", "bars", make("caption", "unseen"), make("tbody", "", ...bars));
  return make("li", "face", make("div", "top", picture, heading), table);
}

/**
 * Fill a card.
 * @param {HTMLElement} card
 * @param {Face} face
 * @param {Verdict} verdict
 * @param {number} number of the face
 * @param {number} count of all faces
 */
function fill(card, face, verdict, number, count) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (card.querySelector(selector));
  const { label, probability, isUnsure, ranked } = verdict;
  find(".number").textContent = count > 1 ? `${number} ` : "";
  find(".label").textContent = isUnsure ? "unsure" : label;
  const words = [isUnsure ? `perhaps ${label}, ${percent(probability)}` : percent(probability)];
  if (face.isClipped) words.push("cut off by the picture's edge");
  find("p").textContent = words.join("; ");
  card.classList.toggle("unsure", isUnsure);
  const picture = /** @type {HTMLCanvasElement} */ (find("canvas"));
  picture.setAttribute("aria-label", `face ${number}, as the network sees it`);
  drawGray(picture, face.cut);
  find("caption").textContent = `Probabilities of face ${number}`;
  const shares = new Map(ranked.map((each) => [each.label, each.probability]));
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (card.querySelectorAll("tr"))) {
    const [name, track, text] = /** @type {HTMLElement[]} */ ([...row.children]);
    const share = shares.get(name.textContent ?? "") ?? 0;
    row.classList.toggle("best", name.textContent === label);
    /** @type {HTMLElement} */ (track.firstElementChild).style.width = `${100 * share}%`;
    text.textContent = percent(share);
  }
}

/**
 * Draw gray levels, one a pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} cut
 */
function drawGray(canvas, cut) {
  const side = Math.sqrt(cut.length);
  [canvas.width, canvas.height] = [side, side];
  const pixels = new ImageData(side, side);
  cut.forEach((level, i) => pixels.data.set([level, level, level, 255], 4 * i));
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}
