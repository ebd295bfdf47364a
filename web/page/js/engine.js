/** The page's side of the worker: questions with answers. */

/** @typedef {import("./resize.js").Picture} Picture */
/** @typedef {import("./worker.js").Analysis} Analysis */

/**
 * What analyses pictures.
 * @typedef {object} Engine
 * @property {(name: string) => Promise<void>} load loads a network
 * @property {(picture: Picture, kind: "photo" | "camera", name: string) => Promise<Analysis>} analyse has a network
 *   say what the faces express; takes the picture's pixels away
 */

/**
 * Start the worker.
 *
 * It is started from a `blob:` address, for such a worker is under the policy of this page, which forbids it to
 * connect to any other host; one that is loaded from a file would be under the headers of that file, and a static
 * host sends none.
 * @returns {Engine}
 */
export function startEngine() {
  const address = new URL("worker.js", import.meta.url).href;
  const start = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(start), { type: "module" });
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  let asked = 0;
  /** @type {Error | null} */
  let failure = null;

  worker.addEventListener("message", ({ data: { id, value, error } }) => {
    const question = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) question?.resolve(value);
    else question?.reject(new Error(error));
  });
  worker.addEventListener("error", (event) => {
    const error = new Error(`${event.message || "the worker could not be started"}; reload the page`);
    failure = error;
    waiting.forEach(({ reject }) => reject(error));
    waiting.clear();
  });

  /**
   * @param {object} question
   * @param {Transferable[]} transfer
   * @returns {Promise<any>}
   */
  const ask = (question, transfer) =>
    new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      asked += 1;
      waiting.set(asked, { resolve, reject });
      return worker.postMessage({ id: asked, ...question }, transfer);
    });

  return {
    load: (name) => ask({ load: name }, []),
    analyse: ({ data, width, height }, kind, name) =>
      ask({ picture: { data, width, height }, kind, name }, [/** @type {ArrayBuffer} */ (data.buffer)]),
  };
}
