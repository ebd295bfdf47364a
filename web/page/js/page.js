/** The page: what the user does, and what is shown. */

import { startCamera } from "./camera.js";
import { describeSize, showCard } from "./card.js";
import { startEngine } from "./engine.js";
import { PictureError, readPicture } from "./pictures.js";
import { MOST_CARDS, showFaces } from "./results.js";
import { draw } from "./stage.js";
import { makeTracker } from "./tracks.js";
import { judge, percent, summarise } from "./verdicts.js";

/** @typedef {import("./worker.js").Face} Face */
/** @typedef {import("./worker.js").Analysis} Analysis */
/** @typedef {import("./card.js").Model} Model */

/** How often what the camera sees is read aloud, at most, in seconds. */
const SPOKEN_EVERY = 4;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
const find = (id) => /** @type {T} */ (document.getElementById(id));
const canvas = /** @type {HTMLCanvasElement} */ (find("canvas"));
const file = /** @type {HTMLInputElement} */ (find("file"));
const slider = /** @type {HTMLInputElement} */ (find("threshold"));

/** @type {{version: string, example: {file: string, title: string}, models: Record<string, Model>}} */
let catalogue;
/** @type {import("./engine.js").Engine} */
let engine;
let modelName = "";
/**
 * What is shown, and the network that saw the faces. In the stream of a camera each face has a number of its own.
 * @typedef {{
 *   source: ImageBitmap, width: number, height: number, faces: (Face & {number?: number})[], network: string,
 *   isMirrored: boolean
 * }} Shown
 */
/** @type {Shown | null} */
let shown = null;
/** @type {{blob: Blob, name: string} | null} */
let photo = null;
/**
 * The photo that is shown: one that cannot be read does not take its place.
 * @type {typeof photo}
 */
let shownPhoto = null;
/** @type {(() => void) | null} */
let stopCamera = null;
/** A photo that was given while another one was analysed makes the other's result old. */
let asked = 0;
/** How many photos are being analysed: an older one may end before the newest. */
let running = 0;
/** A network that was chosen while another one was loaded makes the other's load old. */
let chosen = 0;

/**
 * Tell the user something; screen readers read it out.
 * @param {string} words
 * @param {boolean} isProblem
 */
function say(words, isProblem) {
  const status = find("status");
  if (status.textContent !== words) status.textContent = words;
  status.classList.toggle("problem", isProblem);
}

/** @param {unknown} error */
function explain(error) {
  if (error instanceof PictureError) return say(error.message, true);
  const words = error instanceof Error ? error.message : String(error);
  return say(`That did not work: ${words}`, true);
}

const threshold = () => Number(slider.value) / 100;

/**
 * Show another picture; the memory of the one before is given back now, as there can be thirty in a second.
 * @param {Shown} next
 */
function show(next) {
  shown?.source.close();
  shown = next;
  return render();
}

/**
 * Show the picture, its boxes and its faces anew.
 * @returns {string} what was found, in a sentence
 */
function render() {
  if (!shown) return "";
  const { labels } = catalogue.models[shown.network];
  const verdicts = shown.faces.map((face) => judge(face.logProbabilities, labels, threshold()));
  const numbers = shown.faces.map(({ number }, i) => number ?? i + 1);
  find("invitation").hidden = true;
  find("stage").classList.remove("empty");
  canvas.hidden = false;
  const marks = shown.faces.map(({ box }, i) => {
    const { label, probability, isUnsure } = verdicts[i];
    const short = verdicts.length > 1 ? String(numbers[i]) : "";
    const text = `${short} ${isUnsure ? "unsure" : `${label} ${percent(probability)}`}`.trim();
    return { box, text, short, isUnsure };
  });
  draw(canvas, shown.source, shown.width, shown.height, marks, shown.isMirrored);
  const words = summarise(verdicts, numbers);
  canvas.setAttribute("aria-label", words);
  showFaces(find("faces"), shown.faces, verdicts, labels, numbers);
  find("nothing").hidden = shown.faces.length > 0;
  find("nothing").textContent = "No face was found.";
  const more = shown.faces.length - MOST_CARDS;
  find("more").hidden = more <= 0;
  find("more").textContent = `${more} more ${more === 1 ? "face is" : "faces are"} marked in the picture, without a card.`;
  return words;
}

/**
 * Analyse the photo that was given last.
 */
async function analysePhoto() {
  if (!photo) return;
  // It is analysed as soon as there is a network.
  if (modelName === "") return void (await choose(wantedNetwork()));
  const given = photo;
  const { blob, name } = given;
  const own = (asked += 1);
  endCamera();
  say(`Reading ${name} …`, false);
  running += 1;
  find("stage").setAttribute("aria-busy", "true");
  /** @type {ImageBitmap | null} */
  let source = null;
  try {
    const picture = await readPicture(blob, name);
    source = await createImageBitmap(/** @type {ImageData} */ (picture));
    if (own !== asked) return;
    say("Looking for faces …", false);
    const network = modelName;
    const { faces, times } = await engine.analyse(picture, "photo", network);
    if (own !== asked) return;
    // From left to right, as people count faces; the detector's order is that of its scores.
    faces.sort((a, b) => a.box[0] - b.box[0]);
    const { width, height } = source;
    say(show({ source, width, height, faces, network, isMirrored: false }), false);
    shownPhoto = given;
    find("speed").textContent = `${width} × ${height} px; ${describeTimes(times)}`;
  } catch (error) {
    if (own === asked) {
      if (error instanceof PictureError) photo = shownPhoto;
      explain(error);
    }
  } finally {
    if (shown?.source !== source) source?.close();
    running -= 1;
    if (running === 0) find("stage").removeAttribute("aria-busy");
  }
}

/** @param {Analysis["times"]} times */
function describeTimes({ detect, crop, classify }) {
  return `faces found in ${Math.round(detect)} ms, cut out in ${Math.round(crop)} ms, classified in ${Math.round(classify)} ms`;
}

/**
 * Take the first picture of what was dropped, pasted or chosen.
 * @param {FileList | null | undefined} files
 */
function take(files) {
  const given = [...(files ?? [])];
  if (given.length === 0) return;
  const chosen = given.find((each) => each.type.startsWith("image/")) ?? given[0];
  photo = { blob: chosen, name: chosen.name || "the picture" };
  void analysePhoto();
}

function endCamera() {
  stopCamera?.();
  stopCamera = null;
  find("camera").textContent = "Use the camera";
}

/** Start the camera, or stop it. */
async function toggleCamera() {
  if (stopCamera) {
    endCamera();
    find("speed").textContent = "";
    return say("The camera is off.", false);
  }
  if (modelName === "") await choose(wantedNetwork());
  if (modelName === "") return undefined;
  const own = (asked += 1);
  say("Waiting for the camera …", false);
  try {
    const stop = await startCamera(makeViewer(), (problem) => {
      endCamera();
      say(problem, true);
    });
    // While the browser asked the user, something else was chosen.
    if (own !== asked) return stop();
    stopCamera = stop;
    photo = shownPhoto = null;
    find("camera").textContent = "Stop the camera";
  } catch (error) {
    if (own === asked) explain(error);
  }
  return undefined;
}

/**
 * Make what shows the frames of the camera.
 * @returns {(frame: ImageData) => Promise<void>}
 */
function makeViewer() {
  let follow = makeTracker();
  let network = modelName;
  const started = performance.now();
  let spoken = -SPOKEN_EVERY;
  let rate = 0;
  let before = started;
  return async (frame) => {
    const { width, height } = frame;
    // Probabilities of two networks are not to be mixed.
    if (network !== modelName) [network, follow] = [modelName, makeTracker()];
    const source = await createImageBitmap(frame);
    try {
      const { faces } = await engine.analyse(frame, "camera", network);
      if (!stopCamera) return;
      const now = performance.now();
      const seconds = (now - started) / 1000;
      // The first frames are slow: until then the rate is that of the last frame, later a mean of about ten.
      rate += Math.max(0.1, Math.exp(-seconds)) * (1000 / (now - before) - rate);
      before = now;
      const words = show({ source, width, height, faces: follow(faces, seconds), network, isMirrored: true });
      if (seconds - spoken >= SPOKEN_EVERY) {
        say(words, false);
        spoken = seconds;
      }
      find("speed").textContent = `${width} × ${height} px; ${Math.round(rate)} frames a second`;
    } finally {
      if (shown?.source !== source) source.close();
    }
  };
}

async function tryExample() {
  const own = (asked += 1);
  try {
    const answer = await fetch(catalogue.example.file);
    if (!answer.ok) throw new Error(`the example cannot be loaded: ${answer.status} ${answer.statusText}`);
    const blob = await answer.blob();
    // Something else was chosen meanwhile.
    if (own !== asked) return;
    photo = { blob, name: catalogue.example.title };
    await analysePhoto();
  } catch (error) {
    if (own === asked) explain(error);
  }
}

/** The network whose button is marked: the last that was wanted, though it may not be there yet. */
const wantedNetwork = () =>
  /** @type {HTMLInputElement} */ (document.querySelector("#networks input:checked")).value;

/** @param {string} name of the network to use */
async function choose(name) {
  const isFirst = modelName === "";
  const own = (chosen += 1);
  say(`Loading ${catalogue.models[name].title} …`, false);
  try {
    await engine.load(name);
  } catch (error) {
    if (own !== chosen) return undefined;
    for (const input of isFirst ? [] : document.querySelectorAll("#networks input")) {
      /** @type {HTMLInputElement} */ (input).checked = /** @type {HTMLInputElement} */ (input).value === modelName;
    }
    return explain(error);
  }
  if (own !== chosen) return undefined;
  modelName = name;
  showCard(find("accuracy"), find("limits"), catalogue.models[name]);
  if (photo) return analysePhoto();
  if (isFirst) return say("Ready: give it a photo.", false);
  const before = shown && !stopCamera && shown.network !== name ? catalogue.models[shown.network].title : "";
  const old = before && ` The result shown is still from ${before}.`;
  return say(`Ready, with ${catalogue.models[name].title}.${old}`, false);
}

/** List the networks that can be chosen. */
function listNetworks() {
  Object.entries(catalogue.models).forEach(([name, model], i) => {
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name: "network",
      value: name,
      checked: i === 0,
    });
    input.addEventListener("change", () => void choose(name));
    const words = document.createElement("span");
    words.append(
      Object.assign(document.createElement("b"), { textContent: model.title }),
      Object.assign(document.createElement("small"), { textContent: describeSize(model) }),
    );
    const choice = document.createElement("label");
    choice.className = "choice";
    choice.append(input, words);
    find("networks").append(choice);
  });
}

/** Let the page react to the user. */
function listen() {
  const stage = find("stage");
  find("choose").addEventListener("click", () => file.click());
  find("invitation").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take(file.files);
    file.value = "";
  });
  find("camera").addEventListener("click", () => void toggleCamera());
  find("example").addEventListener("click", () => void tryExample());
  const showThreshold = () => (find("threshold-value").textContent = percent(threshold()));
  showThreshold(); // A browser may have kept what was chosen before the page was loaded again.
  slider.addEventListener("input", () => {
    showThreshold();
    const words = render();
    if (shown && !stopCamera) say(words, false);
  });
  find("settings").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files);
    else say("There is no picture in the clipboard.", true);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) stage.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("over");
    if (event.dataTransfer?.files.length) take(event.dataTransfer.files);
    else say("That is no file. Save the picture first, then drop it here.", true);
  });
  // The size of the letters in the picture follows the size of the picture.
  new ResizeObserver(() => stopCamera || render()).observe(stage);
}

/** Keep the page for visits without a network. */
async function keepOffline() {
  try {
    // Browsers have none for a page that did not come over https or from this machine.
    if (!navigator.serviceWorker) throw new Error("no service worker");
    const { installing } = await navigator.serviceWorker.register("service_worker.js");
    const failed = new Promise((_, reject) => {
      installing?.addEventListener("statechange", () => installing.state === "redundant" && reject(new Error()));
    });
    await Promise.race([navigator.serviceWorker.ready, failed]);
    find("offline").textContent = "This page now works without a network.";
  } catch {
    find("offline").textContent = "This browser does not keep the page for visits without a network.";
  }
}

async function start() {
  if (typeof WebAssembly !== "object") {
    return say("This browser runs no WebAssembly, which the networks need. A lockdown mode may forbid it.", true);
  }
  try {
    catalogue = await (await fetch("models/models.json")).json();
    engine = startEngine();
    find("version").textContent = `fer_jax ${catalogue.version}.`;
    listNetworks();
    listen();
    await choose(Object.keys(catalogue.models)[0]);
  } catch (error) {
    return explain(error);
  }
  return keepOffline();
}

void start();
