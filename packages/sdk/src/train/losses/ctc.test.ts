/** @file CTC against the sum over all ways to say the labels, counted one by one. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runOnce } from '../../../../../test/support/graphs.ts';
import { differentiated, gradientValues } from '../../../../../test/support/differentiated.ts';
import { float32, int64 } from '../../runtime/tensor.ts';
import { ctc } from './ctc.ts';

const [frames, classes, length] = [5, 3, 3];

/** One row: its scores, its labels, and how many of its frames count. */
const row = fc.record({
  scores: fc.array(fc.integer({ min: -300, max: 300 }), { minLength: frames * classes, maxLength: frames * classes }),
  labels: fc.array(fc.integer({ min: 0, max: classes - 2 }), { maxLength: length }),
  frames: fc.integer({ min: 1, max: frames }),
});

it('is the probability of all ways together', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 2, maxLength: 2 }),
      fc.integer({ min: 0, max: classes - 1 }),
      async (rows, blank) => {
        const scores = rows.flatMap((each) => each.scores.map((value) => value / 100));
        const said = rows.map(({ labels }) => labels.map((label) => (label < blank ? label : label + 1)));
        const feeds = {
          x: float32(scores, [2, frames, classes]),
          labels: int64(said.flatMap((labels) => [...labels, -100, -1, -100].slice(0, length)), [2, length]), // prettier-ignore
          lengths: int64(rows.map((each) => each.frames), [2]), // prettier-ignore
        };
        const graph = differentiated(
          { x: feeds.x.dims },
          ['x'],
          (g, { x }) =>
          ctc(g, x!, g.constant(feeds.labels), { blank, reduction: 'sum', zeroInfinity: true, inputLengths: g.constant(feeds.lengths) }), // prettier-ignore
        );
        const costs = rows.map((each, i) => costOf(each.scores, each.frames, said[i]!, blank));
        const expected = costs.reduce((sum, cost) => sum + (Number.isFinite(cost) ? cost : 0), 0);
        const loss = Object.values(await runOnce(graph.model, { x: feeds.x }))[0]!;
        expect(Number(loss.data[0])).toBeCloseTo(expected, 4);
        // Every frame that counts gives its probability to classes: what one gets, others lose.
        const { x: gradient } = await gradientValues(graph, { x: feeds.x });
        for (let i = 0; i < 2 * frames; i++) {
          const column = Array.from(gradient!.data.slice(i * classes, (i + 1) * classes) as Float32Array);
          expect(column.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 5);
          const counts = i % frames < rows[Math.floor(i / frames)]!.frames && Number.isFinite(costs[Math.floor(i / frames)]!); // prettier-ignore
          if (!counts) expect(column.every((value) => value === 0)).toBe(true);
        }
      },
    ),
    { numRuns: 40 },
  );
});

/** `−log` of the summed probability of every sequence of classes that says the labels. */
function costOf(hundredths: readonly number[], count: number, labels: readonly number[], blank: number): number {
  let sum = 0;
  for (let code = 0; code < classes ** count; code++) {
    const path = Array.from({ length: count }, (_, t) => Math.floor(code / classes ** t) % classes);
    const spoken = path.filter((label, t) => label !== blank && label !== path[t - 1]);
    if (spoken.join() === labels.join()) sum += path.reduce((product, label, t) => product * probability(t, label), 1);
  }
  return -Math.log(sum);

  function probability(t: number, label: number): number {
    const scores = hundredths.slice(t * classes, (t + 1) * classes).map((value) => Math.exp(value / 100));
    return scores[label]! / scores.reduce((a, b) => a + b, 0);
  }
}

it('a score that is no number is not left out with what does not fit', async () => {
  const x = float32(new Float32Array(2 * frames * classes), [2, frames, classes]);
  const labels = int64([0, 1, 1, 0], [2, 2]);
  const graph = differentiated({ x: x.dims }, ['x'], (g, inputs) =>
    ctc(g, inputs['x']!, g.constant(labels), { blank: 2, zeroInfinity: true }),
  );
  const loss = async (): Promise<unknown> => Object.values(await runOnce(graph.model, { x }))[0]!.data[0];
  expect(await loss()).toBeGreaterThan(0);
  x.data[frames * classes + 1] = NaN;
  expect(await loss()).toBeNaN();
});
