/** @file A long recording in windows that overlap, as a CTC model is asked about it. */

/** How a recording is cut. */
export interface WindowOptions {
  /** Samples of a window. */
  readonly length: number;
  /** Samples at either end of a window that are only context: what the model says of them, another window says better. */
  readonly context: number;
}

/** A piece of a recording. */
export interface SoundWindow {
  readonly samples: Float32Array;
  /** Where it begins in the recording. */
  readonly start: number;
  /** Samples at its beginning and end that are only context. */
  readonly left: number;
  readonly right: number;
}

/**
 * The windows of a stream of samples. Without their context they are the recording, piece by piece; no more than one window is
 * held in memory. A recording no longer than a window is one.
 *
 * @see transformers, `chunk_iter` of the pipeline automatic-speech-recognition
 */
export async function* soundWindows(
  pieces: AsyncIterable<Float32Array>,
  { length, context }: WindowOptions,
): AsyncGenerator<SoundWindow> {
  const step = length - 2 * context;
  const held = new Float32Array(length + 1);
  let [count, start] = [0, 0];
  const isFirst = (): boolean => start === 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const taken = Math.min(held.length - count, piece.length - at);
      held.set(piece.subarray(at, at + taken), count);
      count += taken;
      at += taken;
      // One sample more than a window: so this is not the last.
      if (count < held.length) continue;
      yield { samples: held.slice(0, length), start, left: isFirst() ? 0 : context, right: context };
      held.copyWithin(0, step, count);
      count -= step;
      start += step;
    }
  }
  if (count > 0) yield { samples: held.slice(0, count), start, left: isFirst() ? 0 : context, right: 0 };
}
