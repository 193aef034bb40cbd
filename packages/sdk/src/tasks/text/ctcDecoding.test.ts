/** @file Tests of CTC decoding against all ways to say a text. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../runtime/tensor.ts';
import { beamPaths, bestPaths } from './ctcDecoding.ts';

function logitsOf(rows: readonly (readonly (readonly number[])[])[]): Tensor {
  const dims = [rows.length, rows[0]!.length, rows[0]![0]!.length];
  return { type: 'float32', dims, data: Float32Array.from(rows.flat(2)) };
}

/** Probability of every text, by all paths; blank is 0. */
function texts(frames: readonly (readonly number[])[]): Map<string, number> {
  const found = new Map<string, number>();
  const walk = (frame: number, path: readonly number[], probability: number): void => {
    if (frame === frames.length) {
      const text = path.filter((id, i) => id !== path[i - 1] && id !== 0).join(' ');
      found.set(text, (found.get(text) ?? 0) + probability);
      return;
    }
    const exponentials = frames[frame]!.map(Math.exp);
    const total = exponentials.reduce((sum, each) => sum + each, 0);
    exponentials.forEach((each, id) => walk(frame + 1, [...path, id], (probability * each) / total));
  };
  walk(0, [], 1);
  return found;
}

describe('CTC decoding', () => {
  it('takes the best label of each frame that is not padding', () => {
    const logits = logitsOf([
      [[0, 2, 1], [5, 1, 1], [0, 0, 9]], // prettier-ignore
      [[1, 0, 0], [0, 1, 0], [0, 0, 1]], // prettier-ignore
    ]);
    expect(bestPaths(logits)).toEqual([[1, 0, 2], [0, 1, 2]]); // prettier-ignore
    expect(bestPaths(logits, [3, 1])).toEqual([[1, 0, 2], [0]]);
    expect(() => bestPaths({ ...logits, dims: [18] })).toThrow(/float32 \[batch, frames, labels\].*\[18\]/);
  });

  it('with enough beams finds the most likely text of all', () => {
    const frame = fc.array(fc.float({ min: -3, max: 3, noNaN: true }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 6 }), (frames) => {
        const all = texts(frames);
        const [path] = beamPaths(logitsOf([frames]), 0, 200);
        const most = Math.max(...all.values());
        expect(all.get(path!.join(' '))!).toBeGreaterThan(most * (1 - 1e-4));
      }),
      { numRuns: 60 },
    );
  });

  it('finds a text that no single best path says', () => {
    // Graves 2006: the blank is the best label of both frames, 0.36, and yet `1` is more likely, 0.64.
    const logits = logitsOf([[[Math.log(0.6), Math.log(0.4)], [Math.log(0.6), Math.log(0.4)]]]); // prettier-ignore
    expect(bestPaths(logits)).toEqual([[0, 0]]);
    expect(beamPaths(logits, 0, 4)).toEqual([[1]]);
  });
});
