/**
 * Reduction of a picture by averaging areas, bit for bit what Pillow's `resize(size, Resampling.BOX)` gives for
 * 8-bit colours, called for the rows first and then for the columns: whole numbers in between, weights of 22
 * binary places.
 */

const PLACES = 22;

/**
 * A picture as a canvas gives it: 8-bit red, green, blue and alpha (which is not read), row by row.
 * @typedef {{data: Uint8ClampedArray | Uint8Array, width: number, height: number}} Picture
 */

/**
 * What each new pixel of a line is made of: `counts[i]` old pixels from `starts[i]` on, times `weights[i]`.
 * @typedef {{starts: Int32Array, counts: Int32Array, weights: Int32Array[]}} Mixture
 */

/**
 * Work out the weights along one axis.
 * @param {number} size old number of pixels
 * @param {number} newSize new number of pixels
 * @returns {Mixture}
 */
function mix(size, newSize) {
  const step = size / newSize;
  const width = Math.max(step, 1);
  const starts = new Int32Array(newSize);
  const counts = new Int32Array(newSize);
  const weights = [];
  for (let i = 0; i < newSize; i++) {
    const centre = (i + 0.5) * step;
    const start = Math.max(Math.trunc(centre - width / 2 + 0.5), 0);
    const stop = Math.min(Math.trunc(centre + width / 2 + 0.5), size);
    const inside = Array.from({ length: stop - start }, (_, j) => {
      const place = (start + j - centre + 0.5) / width;
      return place > -0.5 && place <= 0.5 ? 1 : 0;
    });
    const sum = inside.filter((each) => each > 0).length;
    starts[i] = start;
    counts[i] = stop - start;
    weights.push(Int32Array.from(inside, (each) => Math.trunc((each / sum) * 2 ** PLACES + 0.5)));
  }
  return { starts, counts, weights };
}

/**
 * Resize along one axis.
 * @param {Picture} picture
 * @param {number} newSize pixels along that axis
 * @param {boolean} isAcross along the rows, and not along the columns
 * @returns {Picture}
 */
function resizeAlong(picture, newSize, isAcross) {
  const width = isAcross ? newSize : picture.width;
  const height = isAcross ? picture.height : newSize;
  const { starts, counts, weights } = mix(isAcross ? picture.width : picture.height, newSize);
  const old = picture.data;
  const data = new Uint8Array(width * height * 4);
  const stride = 4 * (isAcross ? 1 : picture.width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = isAcross ? x : y;
      const own = weights[i];
      let red = 1 << (PLACES - 1);
      let green = red;
      let blue = red;
      let from = 4 * (isAcross ? y * picture.width + starts[i] : starts[i] * picture.width + x);
      for (let j = 0; j < counts[i]; j++, from += stride) {
        red += own[j] * old[from];
        green += own[j] * old[from + 1];
        blue += own[j] * old[from + 2];
      }
      const to = 4 * (y * width + x);
      data[to] = Math.min(red >> PLACES, 255);
      data[to + 1] = Math.min(green >> PLACES, 255);
      data[to + 2] = Math.min(blue >> PLACES, 255);
      data[to + 3] = 255;
    }
  }
  return { data, width, height };
}

/**
 * Resize a picture; what has the right size already stays as it is.
 * @param {Picture} picture
 * @param {number} width
 * @param {number} height
 * @returns {Picture}
 */
export function resize(picture, width, height) {
  const across = picture.width === width ? picture : resizeAlong(picture, width, true);
  return across.height === height ? across : resizeAlong(across, height, false);
}
