/** The picture with boxes around the faces, on a canvas. */

/**
 * A box and its label; `short` is shown where there is no room for it.
 * @typedef {{box: number[], text: string, short: string, isUnsure: boolean}} Mark
 */

/** How many times wider than its box a label may be. */
const MOST_WIDER = 2.2;
/** The most pixels of the canvas' longer side: a picture is shown no larger. */
const LONG_SIDE = 1600;

/**
 * Draw a picture and mark its faces.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} source the whole picture
 * @param {number} width of the picture, in pixels
 * @param {number} height
 * @param {Mark[]} marks boxes in pixels of the picture
 * @param {boolean} isMirrored as in a mirror, which people expect of a camera that looks at them
 */
export function draw(canvas, source, width, height, marks, isMirrored) {
  const scale = Math.min(LONG_SIDE / Math.max(width, height), 1);
  const [wide, high] = [Math.max(Math.round(width * scale), 1), Math.max(Math.round(height * scale), 1)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const brush = canvas.getContext("2d");
  if (!brush) return;
  brush.save();
  if (isMirrored) brush.setTransform(-1, 0, 0, 1, wide, 0);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(source, 0, 0, wide, high);
  brush.restore();
  // Lines and letters have the same size on the screen, however large the picture is.
  // A tall picture does not fill the width of its canvas, nor a wide one the height.
  const unit = Math.max(wide / Math.max(canvas.clientWidth, 1), high / Math.max(canvas.clientHeight, 1));
  for (const { box, text, short, isUnsure } of marks) {
    const [x, y, w, h] = box.map((each) => each * scale);
    const place = [isMirrored ? wide - x - w : x, y, w, h];
    frame(brush, place, isUnsure, unit);
    brush.font = `600 ${14 * unit}px system-ui, sans-serif`;
    const hasRoom = short === "" || brush.measureText(text).width < MOST_WIDER * w;
    label(brush, place, hasRoom ? text : short, unit, wide);
  }
}

/**
 * Draw a box.
 * @param {CanvasRenderingContext2D} brush
 * @param {number[]} box in pixels of the canvas
 * @param {boolean} isUnsure such boxes are dashed
 * @param {number} unit pixels of the canvas for one on the screen
 */
function frame(brush, [x, y, w, h], isUnsure, unit) {
  for (const [colour, thickness] of /** @type {[string, number][]} */ ([["#0b0f13", 5], ["#ffffff", 2.5]])) {
    brush.setLineDash(isUnsure ? [8 * unit, 6 * unit] : []);
    brush.lineWidth = thickness * unit;
    brush.strokeStyle = colour;
    brush.beginPath();
    brush.roundRect(x, y, w, h, 6 * unit);
    brush.stroke();
  }
  brush.setLineDash([]);
}

/**
 * Draw a label above a box, or inside of it at the picture's upper edge.
 * @param {CanvasRenderingContext2D} brush with its font
 * @param {number[]} box in pixels of the canvas
 * @param {string} text
 * @param {number} unit pixels of the canvas for one on the screen
 * @param {number} wide width of the canvas
 */
function label(brush, [x, y], text, unit, wide) {
  brush.textBaseline = "middle";
  const length = brush.measureText(text).width + 14 * unit;
  const high = 24 * unit;
  const left = Math.min(Math.max(x - unit, 0), Math.max(wide - length, 0));
  const top = y > high + 4 * unit ? y - high - 4 * unit : y + 4 * unit;
  brush.fillStyle = "#0b0f13";
  brush.beginPath();
  brush.roundRect(left, top, length, high, 5 * unit);
  brush.fill();
  brush.fillStyle = "#ffffff";
  brush.fillText(text, left + 7 * unit, top + high / 2 + unit);
}
