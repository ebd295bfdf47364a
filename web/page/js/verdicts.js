/** What is said about a face: its label, or that the network is unsure. */

/** How many faces a sentence names. */
const MOST_TOLD = 10;

/**
 * A face's best label and its probability.
 * @typedef {{label: string, probability: number, isUnsure: boolean, ranked: {label: string, probability: number}[]}}
 *   Verdict
 */

/**
 * Judge a face.
 * @param {number[]} logProbabilities
 * @param {string[]} labels
 * @param {number} threshold below this probability the verdict is "unsure"
 * @returns {Verdict}
 */
export function judge(logProbabilities, labels, threshold) {
  const ranked = labels
    .map((label, k) => ({ label, probability: Math.exp(logProbabilities[k]) }))
    .sort((a, b) => b.probability - a.probability);
  return { ...ranked[0], isUnsure: ranked[0].probability < threshold, ranked };
}

/**
 * Write a share in percent, such as `93 %`; no network is certain.
 * @param {number} share 0 to 1
 * @returns {string}
 */
export function percent(share) {
  return share >= 0.995 ? ">\u00a099\u00a0%" : `${Math.round(100 * share)}\u00a0%`;
}

/**
 * Say in a sentence what was found.
 * @param {Verdict[]} verdicts of the faces, in order
 * @param {number[]} numbers of the faces; by default 1, 2, and so on
 * @returns {string}
 */
export function summarise(verdicts, numbers = verdicts.map((_, i) => i + 1)) {
  if (verdicts.length === 0) {
    return "No face found. A face has to be roughly upright, seen from the front, and not too small in the photo.";
  }
  const each = verdicts.map(({ label, probability, isUnsure }) => {
    const words = `${label} (${percent(probability)})`;
    return isUnsure ? `unsure, perhaps ${words}` : words;
  });
  if (each.length === 1) return `One face: ${each[0]}.`;
  const numbered = each.slice(0, MOST_TOLD).map((words, i) => `${numbers[i]}: ${words}`);
  if (each.length > MOST_TOLD) numbered.push(`and ${each.length - MOST_TOLD} more`);
  return `${each.length} faces. ${numbered.join("; ")}.`;
}
