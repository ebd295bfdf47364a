/** From what the user gives to pixels. Nothing leaves the page. */

/** @typedef {import("./resize.js").Picture} Picture */

/** The most pixels that are decoded; more would fill the memory of a phone. */
const MOST_PIXELS = 100e6;
/** The most pixels that a canvas has on every phone; a larger picture is reduced to them. */
const MOST_CANVAS_PIXELS = 4096 * 4096;

/** What is wrong with a file, in words for the user. */
export class PictureError extends Error {}

/**
 * Read a picture: upright, colours as they are in the file, transparent parts on white.
 * @param {Blob} blob
 * @param {string} name for messages
 * @returns {Promise<Picture>}
 * @throws {PictureError} it is no picture, or too large
 */
export async function readPicture(blob, name) {
  const { width, height } = await measure(blob, name);
  if (width * height > MOST_PIXELS) {
    const millions = Math.round((width * height) / 1e6);
    throw new PictureError(
      `${name} has ${millions} megapixels; at most ${MOST_PIXELS / 1e6} can be read. Make it smaller first.`,
    );
  }
  /** @type {ImageBitmap} */
  let bitmap;
  try {
    // It comes upright, which is the default; the word for it is newer than many browsers, which refuse it.
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new PictureError(`${name} cannot be decoded: it may be damaged, or cut off.`);
  }
  try {
    const scale = Math.min(Math.sqrt(MOST_CANVAS_PIXELS / (bitmap.width * bitmap.height)), 1);
    return takePixels(bitmap, Math.floor(bitmap.width * scale), Math.floor(bitmap.height * scale));
  } finally {
    bitmap.close();
  }
}

/**
 * Find a picture's size from its first bytes: decoding an enormous one could end the page.
 * @param {Blob} blob
 * @param {string} name
 * @returns {Promise<{width: number, height: number}>}
 */
async function measure(blob, name) {
  const image = new Image();
  image.src = URL.createObjectURL(blob);
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
    });
    if (image.naturalWidth * image.naturalHeight === 0) throw new Error("it has no size");
    return { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    throw new PictureError(
      `${name} is not a picture that this browser can read. JPEG, PNG, WebP and GIF are, up to ` +
        `${MOST_PIXELS / 1e6} megapixels.`,
    );
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/**
 * Take the pixels of a bitmap or of the frame that a video shows, on white.
 * @param {ImageBitmap | HTMLVideoElement} source
 * @param {number} width
 * @param {number} height
 * @returns {ImageData}
 */
export function takePixels(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  if (!brush) throw new PictureError("This browser has no memory left for the picture.");
  brush.fillStyle = "white";
  brush.fillRect(0, 0, width, height);
  brush.drawImage(source, 0, 0, width, height);
  return brush.getImageData(0, 0, width, height);
}
