/** Faces from frame to frame: a face keeps its number, and its probabilities change smoothly. */

import { iou } from "./detect.js";

/** @typedef {import("./worker.js").Face} Face */
/**
 * A face that is followed: its number, and when it was last seen, in seconds.
 * @typedef {Face & {number: number, seen: number}} Track
 */

/** The least overlap of a face in neighbouring frames. */
const LEAST_OVERLAP = 0.3;
/** How long a face that is not found is remembered, in seconds. */
const PATIENCE = 1;
/** The time constant of the smoothing, in seconds: a change is half done after 0.69 of it. */
const SMOOTHING = 0.3;

/**
 * Make what follows faces.
 * @returns {(faces: Face[], time: number) => Track[]} takes the faces of a frame and its time in seconds, and gives
 *   them back in the order of their numbers, with smoothed probabilities
 */
export function makeTracker() {
  /** @type {Track[]} */
  let tracks = [];
  let count = 0;

  return (faces, time) => {
    const recent = tracks.filter(({ seen }) => time - seen < PATIENCE);
    const pairs = recent
      .flatMap((track) => faces.map((face) => ({ track, face, overlap: iou(track.box, face.box) })))
      .filter(({ overlap }) => overlap >= LEAST_OVERLAP)
      .sort((a, b) => b.overlap - a.overlap);
    /** @type {Map<Face, Track>} */
    const known = new Map();
    const taken = new Set();
    for (const { track, face } of pairs) {
      if (known.has(face) || taken.has(track)) continue;
      known.set(face, track);
      taken.add(track);
    }
    const seen = faces.map((face) => {
      const before = known.get(face);
      if (!before) return { ...face, number: (count += 1), seen: time };
      const keep = Math.exp(-(time - before.seen) / SMOOTHING);
      const mixed = face.logProbabilities.map((each, k) => each + keep * (before.logProbabilities[k] - each));
      return { ...face, logProbabilities: normalise(mixed), number: before.number, seen: time };
    });
    tracks = [...seen, ...recent.filter((track) => !taken.has(track))];
    return seen.sort((a, b) => a.number - b.number);
  };
}

/**
 * Let probabilities add up to one.
 * @param {number[]} logs natural logarithms
 * @returns {number[]}
 */
function normalise(logs) {
  const shift = Math.log(logs.reduce((sum, each) => sum + Math.exp(each), 0));
  return logs.map((each) => each - shift);
}
