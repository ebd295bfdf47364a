/** What the page says about a network: its measured accuracy, and its limits, as its card has them. */

import { percent } from "./verdicts.js";

/**
 * A measurement: right answers of all, the 95 % interval of their share, and both by class.
 * @typedef {{part: string, labels: string, correct: number, total: number, accuracy: number, low: number,
 *   high: number, classes: Record<string, [number, number]>, copies: number}} Measurement
 */
/**
 * A network as the build describes it.
 * @typedef {{title: string, file: string, bytes: number, labels: string[], parameters: number,
 *   figures: Measurement, limits: string[], misuse: string[]}} Model
 */

/**
 * Make an element.
 * @param {string} tag
 * @param {string} text
 * @param {Record<string, string>} [properties]
 */
const make = (tag, text, properties = {}) =>
  Object.assign(document.createElement(tag), { textContent: text, ...properties });

/** @param {number} number */
const grouped = (number) => number.toLocaleString("en");
/** @param {number} share */
const exact = (share) => (100 * share).toFixed(1);

/**
 * Say how large a network is.
 * @param {Model} model
 * @returns {string}
 */
export function describeSize({ parameters, bytes }) {
  return `${grouped(Math.round(parameters / 1000))} thousand parameters, ${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * Show how accurate a network is, and what it cannot do.
 * @param {HTMLElement} accuracy
 * @param {HTMLElement} limits
 * @param {Model} model
 */
export function showCard(accuracy, limits, model) {
  const { part, labels, correct, total, accuracy: share, low, high, classes, copies } = model.figures;
  const table = make("table", "", { className: "bars" });
  table.append(make("caption", `Right answers of ${model.title}, by the face’s label`));
  const body = make("tbody", "");
  for (const [label, [right, all]] of Object.entries(classes)) {
    const bar = make("div", "");
    const share = all && right / all;
    bar.style.width = `${100 * share}%`;
    const track = make("td", "", { className: "track" });
    track.append(bar);
    const row = make("tr", "");
    const words = all ? `${percent(share)} of ${grouped(all)}` : "no faces";
    row.append(make("th", label, { scope: "row" }), track, make("td", words, { className: "share" }));
    body.append(row);
  }
  table.append(body);
  const data = labels === "own labels" ? "its own data" : "FER2013";
  const people = labels === "FER+ majority" ? "most annotators of FER+" : "people";
  const sentence =
    `Of ${grouped(total)} faces of ${data} (${part}), ${model.title} gives ${grouped(correct)} the label that ` +
    `${people} gave them (95 % interval ${exact(low)} to ${exact(high)} %).`;
  accuracy.replaceChildren(
    make("p", `${exact(share)} %`, { className: "big" }),
    make("p", sentence),
    make(
      "p",
      "Those faces were cut out and gray. In a photo they have to be found and cut out first, which costs some of " +
        `that accuracy. ${grouped(copies)} of them are exact copies of pictures that it was trained on.`,
      { className: "quiet" },
    ),
    table,
  );
  limits.replaceChildren(...[...model.misuse, ...model.limits].map((each) => make("li", each)));
}
