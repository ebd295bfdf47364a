/** The gray square around a face that the network sees: the crop contract, the same as in Python. */

/** @typedef {import("./resize.js").Picture} Picture */

/**
 * What the contract fixes; the build writes it into `models.json`.
 * @typedef {{version: number, side_px: number, side_factor: number, shift_down: number, gray: number[]}} Contract
 */

/**
 * A square of a picture, in pixels.
 * @typedef {{left: number, top: number, side: number}} Square
 */

/** Lobes of the Lanczos window. */
const LOBES = 3;

/**
 * Find the square around a face.
 * @param {number[]} box x, y, width and height in pixels of the picture
 * @param {Contract} contract
 * @param {number} scale of the side; the centre stays
 * @returns {Square}
 */
export function findSquare([x, y, width, height], contract, scale) {
  const natural = contract.side_factor * Math.sqrt(width * height);
  const side = natural * scale;
  return {
    left: x + width / 2 - side / 2,
    top: y + height / 2 + contract.shift_down * natural - side / 2,
    side,
  };
}

/**
 * Whether a square leaves its picture.
 * @param {Square} square
 * @param {Picture} picture
 * @returns {boolean}
 */
export function isClipped({ left, top, side }, { width, height }) {
  return left < 0 || top < 0 || left + side > width || top + side > height;
}

/** @param {number} x */
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** @param {number} x in units of the filter */
const lanczos = (x) => (Math.abs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0);

/**
 * What a pixel of a crop is made of: weights, with the sum 1, of neighbours from `first` on.
 * @typedef {{first: number, weights: Float64Array}} Band
 */

/**
 * Work out which pixels of a line make each pixel of a crop.
 * @param {number} start of the square, in pixels
 * @param {number} side of the square, in pixels
 * @param {number} length of the line, in pixels; beyond it the value is that of the nearest pixel
 * @param {number} size pixels of the crop
 * @returns {Band[]}
 */
export function weigh(start, side, length, size) {
  const step = side / size;
  const width = Math.max(step, 1);
  const clamp = (/** @type {number} */ j) => Math.min(Math.max(j, 0), length - 1);
  return Array.from({ length: size }, (_, i) => {
    const centre = start + (i + 0.5) * step;
    const from = Math.floor(centre - LOBES * width);
    const to = Math.ceil(centre + LOBES * width);
    const first = clamp(from);
    const weights = new Float64Array(clamp(to) - first + 1);
    let sum = 0;
    for (let j = from; j <= to; j++) {
      const weight = lanczos((j + 0.5 - centre) / width);
      weights[clamp(j) - first] += weight;
      sum += weight;
    }
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Cut out a face, gray and resampled.
 * @param {Picture} picture
 * @param {number[]} box x, y, width and height in pixels of the picture
 * @param {Contract} contract
 * @param {number} scale of the square's side
 * @returns {Uint8Array} gray levels, row by row
 */
export function crop(picture, box, contract, scale) {
  const size = contract.side_px;
  const { left, top, side } = findSquare(box, contract, scale);
  const across = weigh(left, side, picture.width, size);
  const down = weigh(top, side, picture.height, size);
  const [firstRow, rows] = findSpan(down);
  const [firstColumn, columns] = findSpan(across);
  // All rows of the picture that are needed, resampled across; then these, resampled down.
  const narrow = new Float64Array(rows * size);
  const gray = new Float64Array(columns);
  const [ofRed, ofGreen, ofBlue] = contract.gray;
  for (let y = 0; y < rows; y++) {
    let from = 4 * ((firstRow + y) * picture.width + firstColumn);
    for (let x = 0; x < columns; x++, from += 4) {
      const [red, green, blue] = [picture.data[from], picture.data[from + 1], picture.data[from + 2]];
      gray[x] = (ofRed * red + ofGreen * green + ofBlue * blue + 32768) >> 16;
    }
    across.forEach(({ first, weights }, i) => {
      narrow[y * size + i] = multiply(weights, gray, first - firstColumn, 1);
    });
  }
  const cut = new Uint8Array(size * size);
  down.forEach(({ first, weights }, i) => {
    for (let j = 0; j < size; j++) {
      const level = multiply(weights, narrow, (first - firstRow) * size + j, size);
      cut[i * size + j] = Math.floor(Math.min(Math.max(level, 0), 255) + 0.5);
    }
  });
  return cut;
}

/**
 * Find the first pixel that any band needs, and how many there are up to the last.
 * @param {Band[]} bands in the order of their pixels
 * @returns {[number, number]}
 */
function findSpan(bands) {
  const last = bands[bands.length - 1];
  return [bands[0].first, last.first + last.weights.length - bands[0].first];
}

/**
 * Multiply weights with values that stand `stride` apart, and add up.
 * @param {Float64Array} weights
 * @param {Float64Array} values
 * @param {number} start
 * @param {number} stride
 * @returns {number}
 */
function multiply(weights, values, start, stride) {
  let sum = 0;
  for (let j = 0; j < weights.length; j++) sum += weights[j] * values[start + j * stride];
  return sum;
}

/**
 * Mirror a crop, left and right.
 * @param {Uint8Array} cut
 * @param {number} size pixels of a side
 * @returns {Uint8Array}
 */
export function mirror(cut, size) {
  return cut.map((_, i) => cut[i - (i % size) + (size - 1 - (i % size))]);
}
