/** @file Decodes the frames of a CTC model into token ids. */

import { OnnxLoraError } from '../../errors.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { logSumExp } from '../classification/scores.ts';
import { highestOf } from '../../statistics/classMeasure.ts';

/**
 * The best id of each frame, per row, for `CtcTokenizer.decodeFrames`.
 * @param logits scores or probabilities, float32 `[batch, frames, labels]`
 * @param lengths frames of each row without padding; all by default
 * @throws OnnxLoraError `DATA_INVALID` for other shapes or types
 */
export function bestPaths(logits: Tensor, lengths?: readonly number[]): number[][] {
  return rowsOf(logits, lengths).map((row) => row.map((scores) => highestOf(scores)));
}

/**
 * The most likely ids by prefix beam search, per row, without blanks and repetitions, for `CtcTokenizer.decode`. Labels
 * below a probability of 1e-6 are not followed. Algorithm 1, without its language model, of Hannun et al., "First-Pass
 * Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs" (2014), arXiv:1408.2873.
 * @param logits float32 `[batch, frames, labels]`
 * @param lengths frames of each row without padding; all by default
 * @param beams number of prefixes kept per frame
 * @throws OnnxLoraError `DATA_INVALID` for other shapes or types
 */
export function beamPaths(logits: Tensor, blank: number, beams: number, lengths?: readonly number[]): number[][] {
  return rowsOf(logits, lengths).map((row) => beamPath(row, blank, beams));
}

/** A prefix of the text: its last id, and the prefix before it. */
interface Prefix {
  readonly id: number;
  readonly before: Prefix | undefined;
  readonly longer: Map<number, Prefix>;
  /** Log probability of all paths so far to this prefix that end with a blank, or with its last id. */
  blank: number;
  label: number;
  /** The same after the current frame. */
  nextBlank: number;
  nextLabel: number;
}

function prefixOf(id: number, before: Prefix | undefined): Prefix {
  const none = -Infinity;
  return { id, before, longer: new Map(), blank: none, label: none, nextBlank: none, nextLabel: none };
}

function beamPath(frames: readonly Float32Array[], blank: number, beams: number): number[] {
  const empty = prefixOf(-1, undefined);
  empty.blank = 0;
  let kept = [empty];
  for (const frame of frames) {
    const scores = logSoftmax(frame);
    const touched = new Set(kept);
    for (const prefix of kept) {
      const whole = logAdd(prefix.blank, prefix.label);
      prefix.nextBlank = logAdd(prefix.nextBlank, whole + scores[blank]!);
      if (prefix.before) prefix.nextLabel = logAdd(prefix.nextLabel, prefix.label + scores[prefix.id]!);
      for (let id = 0; id < scores.length; id++) {
        if (id === blank || scores[id]! < leastFollowed) continue;
        let longer = prefix.longer.get(id);
        if (!longer) prefix.longer.set(id, (longer = prefixOf(id, prefix)));
        // A repeated id is a new one only after a blank.
        longer.nextLabel = logAdd(longer.nextLabel, (id === prefix.id ? prefix.blank : whole) + scores[id]!);
        touched.add(longer);
      }
    }
    const all = [...touched];
    for (const prefix of all) {
      prefix.blank = prefix.nextBlank;
      prefix.label = prefix.nextLabel;
      prefix.nextBlank = prefix.nextLabel = -Infinity;
    }
    kept = all.sort((a, b) => logAdd(b.blank, b.label) - logAdd(a.blank, a.label)).slice(0, beams);
    // A dropped prefix restarts if a later frame reaches it again.
    for (const prefix of all.slice(beams)) prefix.blank = prefix.label = -Infinity;
  }
  const ids: number[] = [];
  for (let prefix = kept[0]; prefix?.before; prefix = prefix.before) ids.push(prefix.id);
  return ids.reverse();
}

const leastFollowed = Math.log(1e-6);

/** `log(eᵃ + eᵇ)` */
function logAdd(a: number, b: number): number {
  if (a < b) return logAdd(b, a);
  return b === -Infinity ? a : a + Math.log1p(Math.exp(b - a));
}

function logSoftmax(scores: Float32Array): Float64Array {
  const total = logSumExp(scores);
  return Float64Array.from(scores, (score) => score - total);
}

function rowsOf({ type, dims, data }: Tensor, lengths: readonly number[] | undefined): Float32Array[][] {
  const [batch, frames, labels] = dims;
  if (dims.length !== 3 || !batch || !labels || frames === undefined || !(data instanceof Float32Array)) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Scores of a CTC model are float32 [batch, frames, labels], and these are ${type} [${dims.join(', ')}]. Choose the model's output for them.`,
    );
  }
  return Array.from({ length: batch }, (_, row) =>
    Array.from({ length: Math.min(frames, lengths?.[row] ?? frames) }, (__, frame) => {
      const start = (row * frames + frame) * labels;
      return data.subarray(start, start + labels);
    }),
  );
}
