/** The camera: frames, one at a time, each when the one before is done with. */

import { PictureError, takePixels } from "./pictures.js";

/** @typedef {import("./resize.js").Picture} Picture */

/** What is asked of the camera: faces need no more. */
const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };

/** What a refusal means, by its name in the standard. */
const REFUSALS = /** @type {Record<string, string>} */ ({
  NotAllowedError: "The camera was not allowed. Allow it in the address bar of the browser, then try again.",
  NotFoundError: "There is no camera.",
  NotReadableError: "The camera is in use by another program, or does not answer.",
});

/**
 * Start the camera.
 * @param {(frame: ImageData) => Promise<void>} use gets the newest frame, and no other before it is done
 * @param {(problem: string) => void} end is called when the camera stops by itself, with the reason
 * @returns {Promise<() => void>} what stops it
 * @throws {PictureError} there is no camera, or it may not be used
 */
export async function startCamera(use, end) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new PictureError("This page may not use a camera: it has to come over https, or from this machine.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ video: WANTED }).catch((error) => {
    throw new PictureError(REFUSALS[error.name] ?? `The camera cannot be used: ${error.message}`);
  });
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  let isOn = true;
  const stop = () => {
    isOn = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => {
      stop();
      end("The camera was switched off.");
    });
  }

  const next = async () => {
    if (!isOn) return;
    try {
      if (video.videoWidth > 0) await use(takePixels(video, video.videoWidth, video.videoHeight));
    } catch (error) {
      stop();
      end(error instanceof Error ? error.message : String(error));
      return;
    }
    waitForFrame(video, next);
  };
  try {
    await video.play();
  } catch (error) {
    stop();
    throw error;
  }
  waitForFrame(video, next);
  return stop;
}

/**
 * Call a function when a video shows a new frame.
 * @param {HTMLVideoElement} video
 * @param {() => void} next
 */
function waitForFrame(video, next) {
  if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(next);
  else requestAnimationFrame(next);
}
