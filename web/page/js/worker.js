/**
 * The worker: it loads the detector and the networks, and analyses pictures, while the page stays responsive.
 * Messages in: `{id, load: name}` and `{id, picture, kind, name}`. Messages out: `{id, value}` or `{id, error}`.
 */

import * as ort from "../runtime/ort.wasm.bundle.min.js";

import { cutViews, toLogProbabilities } from "./classify.js";
import { findSquare, isClipped } from "./crop.js";
import { findFaces, prepare } from "./detect.js";

/** @typedef {import("./resize.js").Picture} Picture */
/** @typedef {import("./detect.js").Detection} Detection */
/**
 * A face that was found, with `Math.log` of its probabilities and the gray levels that the network saw.
 * @typedef {Detection & {logProbabilities: number[], cut: Uint8Array, isClipped: boolean}} Face
 */
/**
 * What an analysis gives; times in milliseconds.
 * @typedef {{faces: Face[], times: {detect: number, crop: number, classify: number}}} Analysis
 */

/** The detector's file lists sizes for one size of picture: nothing may plan by them, and no log repeats it. */
const OPTIONS = { executionProviders: ["wasm"], enableMemPattern: false, logSeverityLevel: 3 };

/** How many faces the network sees at a time: what forty faces need must fit into a phone's memory. */
const BATCH = 8;

// A page that shares no memory with its workers needs no special headers, so any host will do.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("../runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };

const models = new URL("../models/", import.meta.url);
/** @type {Promise<any> | undefined} */
let catalogue;
/** @type {Map<string, Promise<any>>} */
const sessions = new Map();

/** Read what the networks and the detector are, once; what failed is tried again. */
function readCatalogue() {
  catalogue ??= fetch(new URL("models.json", models)).then((answer) => answer.json());
  catalogue.catch(() => (catalogue = undefined));
  return catalogue;
}

/**
 * Load a network, once.
 * @param {string} file in the folder of models
 * @returns {Promise<any>} its session
 */
function open(file) {
  if (!sessions.has(file)) {
    const session = ort.InferenceSession.create(new URL(file, models).href, OPTIONS);
    sessions.set(file, session);
    session.catch(() => sessions.delete(file));
  }
  return /** @type {Promise<any>} */ (sessions.get(file));
}

/**
 * Run a network on one input.
 * @param {any} session
 * @param {any} input
 * @returns {Promise<Record<string, any>>} its outputs' values, by name
 */
async function run(session, input) {
  const outputs = await session.run({ [session.inputNames[0]]: input });
  return Object.fromEntries(Object.entries(outputs).map(([name, each]) => [name, each.data]));
}

/**
 * Load the detector and a classifier.
 * @param {string} name of the classifier
 */
async function load(name) {
  const { detector, models: all } = await readCatalogue();
  await Promise.all([open(detector.file), open(all[name].file)]);
}

/**
 * Find the faces of a picture, and say what they express.
 * @param {Picture} picture
 * @param {"photo" | "camera"} kind
 * @param {string} name of the classifier
 * @returns {Promise<Analysis>}
 */
async function analyse(picture, kind, name) {
  const { detector, views, models: all } = await readCatalogue();
  const { file, labels, contract } = all[name];
  const started = performance.now();
  const prepared = prepare(picture, detector);
  const shape = [1, 3, prepared.height, prepared.width];
  const outputs = await run(await open(detector.file), new ort.Tensor("float32", prepared.input, shape));
  const found = findFaces(outputs, prepared, detector);
  const detected = performance.now();
  const cuts = found.map(({ box }) => cutViews(picture, box, contract, views[kind]));
  const cropped = performance.now();
  /** @type {Face[]} */
  const faces = [];
  for (let first = 0; first < found.length; first += BATCH) {
    const some = found.slice(first, first + BATCH);
    const images = cuts.slice(first, first + BATCH).flat();
    const pixels = new Uint8Array(images.length * contract.side_px ** 2);
    images.forEach((each, i) => pixels.set(each, i * each.length));
    const batch = [images.length, contract.side_px, contract.side_px, 1];
    const { logits } = await run(await open(file), new ort.Tensor("uint8", pixels, batch));
    const answers = toLogProbabilities(logits, some.length, labels.length);
    some.forEach((face, i) => {
      const square = findSquare(face.box, contract, 1);
      const shown = views[kind].scales.indexOf(1) * (views[kind].is_mirrored ? 2 : 1);
      faces.push({
        ...face,
        logProbabilities: answers[i],
        cut: cuts[first + i][shown],
        isClipped: isClipped(square, picture),
      });
    });
  }
  const times = { detect: detected - started, crop: cropped - detected, classify: performance.now() - cropped };
  return { faces, times };
}

self.addEventListener("message", async ({ data: { id, load: wanted, picture, kind, name } }) => {
  try {
    self.postMessage({ id, value: wanted === undefined ? await analyse(picture, kind, name) : await load(wanted) });
  } catch (error) {
    self.postMessage({ id, error: String(error instanceof Error ? error.message : error) });
  }
});
