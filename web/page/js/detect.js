/** Around the face detector YuNet: what it is shown, and what its outputs say. The same as in Python. */

import { resize } from "./resize.js";

/** @typedef {import("./resize.js").Picture} Picture */

/**
 * What the build fixes, from Python's values.
 * @typedef {{long_side_px: number, min_score: number, min_face_px: number, most_iou: number}} Settings
 */

/**
 * A face: x, y, width and height in pixels, how sure the detector is, and five points (eyes, nose, mouth).
 * @typedef {{box: number[], score: number, landmarks: number[][]}} Detection
 */

const STRIDES = [8, 16, 32];
const MULTIPLE = 32;
const POINTS = 5;
const MOST_CANDIDATES = 5000;

/**
 * Round to the nearest whole number, halves to the even one, as Python does.
 * @param {number} x
 * @returns {number}
 */
export function round(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x);
}

/**
 * Make the detector's input: a picture reduced to the long side, with black at the right and at the bottom.
 * @param {Picture} picture
 * @param {Settings} settings
 * @returns {{input: Float32Array, width: number, height: number, factor: number}} blue, green and red
 *   planes of that width and height, and what lengths were multiplied with
 */
export function prepare(picture, settings) {
  const factor = Math.min(settings.long_side_px / Math.max(picture.width, picture.height), 1);
  const newWidth = Math.max(round(picture.width * factor), 1);
  const newHeight = Math.max(round(picture.height * factor), 1);
  const small = resize(picture, newWidth, newHeight);
  const width = Math.ceil(newWidth / MULTIPLE) * MULTIPLE;
  const height = Math.ceil(newHeight / MULTIPLE) * MULTIPLE;
  const input = new Float32Array(3 * height * width);
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      for (let channel = 0; channel < 3; channel++) {
        input[(channel * height + y) * width + x] = small.data[4 * (y * newWidth + x) + 2 - channel];
      }
    }
  }
  return { input, width, height, factor };
}

/**
 * Read the detector's outputs.
 * @param {Record<string, ArrayLike<number>>} outputs by name, such as `bbox_8`
 * @param {number} width of the input
 * @param {number} minScore
 * @returns {Detection[]} in pixels of the input; one face can be there many times
 */
export function decode(outputs, width, minScore) {
  const found = [];
  for (const stride of STRIDES) {
    const columns = width / stride;
    const [sureness, objectness, boxes, points] = ["cls", "obj", "bbox", "kps"].map(
      (name) => outputs[`${name}_${stride}`],
    );
    for (let cell = 0; cell < sureness.length; cell++) {
      const score = Math.sqrt(clip(sureness[cell]) * clip(objectness[cell]));
      if (score < minScore) continue;
      const column = cell % columns;
      const row = (cell - column) / columns;
      const w = Math.exp(boxes[4 * cell + 2]) * stride;
      const h = Math.exp(boxes[4 * cell + 3]) * stride;
      const box = [
        (column + boxes[4 * cell]) * stride - w / 2,
        (row + boxes[4 * cell + 1]) * stride - h / 2,
        w,
        h,
      ];
      const landmarks = Array.from({ length: POINTS }, (_, k) => [
        (column + points[2 * (POINTS * cell + k)]) * stride,
        (row + points[2 * (POINTS * cell + k) + 1]) * stride,
      ]);
      found.push({ box, score, landmarks });
    }
  }
  return found;
}

/** @param {number} x */
const clip = (x) => Math.min(Math.max(x, 0), 1);

/**
 * Keep the best of the boxes that overlap.
 * @param {Detection[]} found
 * @param {number} mostIou the most overlap that two faces may have
 * @returns {Detection[]} best first
 */
export function suppress(found, mostIou) {
  /** @type {Detection[]} */
  const kept = [];
  for (const each of [...found].sort((a, b) => b.score - a.score).slice(0, MOST_CANDIDATES)) {
    if (kept.every((better) => iou(better.box, each.box) <= mostIou)) kept.push(each);
  }
  return kept;
}

/**
 * Intersection over union of two boxes.
 * @param {number[]} a
 * @param {number[]} b
 * @returns {number}
 */
export function iou(a, b) {
  const width = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(width, 0) * Math.max(height, 0);
  const all = a[2] * a[3] + b[2] * b[3] - shared;
  return all > 0 ? shared / all : 0;
}

/**
 * Go from the detector's outputs to the faces of the picture.
 * @param {Record<string, ArrayLike<number>>} outputs
 * @param {{width: number, factor: number}} prepared
 * @param {Settings} settings
 * @returns {Detection[]} in pixels of the picture, best first
 */
export function findFaces(outputs, { width, factor }, settings) {
  const faces = suppress(decode(outputs, width, settings.min_score), settings.most_iou);
  return faces
    .map(({ box: [x, y, w, h], score, landmarks }) => ({
      box: [x / factor, y / factor, w / factor, h / factor],
      score,
      landmarks: landmarks.map((point) => point.map((each) => each / factor)),
    }))
    .filter(({ box }) => Math.min(box[2], box[3]) >= settings.min_face_px);
}
