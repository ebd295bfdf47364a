/** From crops to probabilities: the views of a face, and their average. */

import { crop, mirror } from "./crop.js";

/** @typedef {import("./resize.js").Picture} Picture */
/** @typedef {import("./crop.js").Contract} Contract */

/**
 * How a face is looked at: the scales of its square, and whether each is mirrored too.
 * @typedef {{scales: number[], is_mirrored: boolean}} Views
 */

/**
 * Cut out all views of a face.
 * @param {Picture} picture
 * @param {number[]} box x, y, width and height in pixels of the picture
 * @param {Contract} contract
 * @param {Views} views
 * @returns {Uint8Array[]} gray levels of each view
 */
export function cutViews(picture, box, contract, views) {
  return views.scales.flatMap((scale) => {
    const cut = crop(picture, box, contract, scale);
    return views.is_mirrored ? [cut, mirror(cut, contract.side_px)] : [cut];
  });
}

/**
 * Average the logits of each face's views, and give the logarithms of its probabilities.
 * @param {ArrayLike<number>} logits of all views of all faces, one after the other
 * @param {number} faces how many
 * @param {number} classes how many
 * @returns {number[][]} natural logarithms, for each face and class
 */
export function toLogProbabilities(logits, faces, classes) {
  const views = logits.length / (faces * classes);
  return Array.from({ length: faces }, (_, face) => {
    const means = Array.from({ length: classes }, (_, k) => {
      let sum = 0;
      for (let view = 0; view < views; view++) sum += logits[(face * views + view) * classes + k];
      return sum / views;
    });
    const most = Math.max(...means);
    const shift = most + Math.log(means.reduce((sum, each) => sum + Math.exp(each - most), 0));
    return means.map((each) => each - shift);
  });
}
