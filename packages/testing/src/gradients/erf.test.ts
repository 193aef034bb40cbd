/** @file The error function in double precision against published tables. */

import { expect, it } from 'vitest';
import { GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode } from '@onnx-lora/sdk/plugin';
import { modelFrom, runOnce } from '../graphs.ts';
import { erfFloat64 } from './float64Forms.ts';

it('erf has the digits of published tables', async () => {
  // Abramowitz and Stegun, table 7.1, and DLMF 7.23 for erf(3).
  const known: readonly (readonly [number, number])[] = [
    [0, 0],
    [0.5, 0.5204998778130465],
    [-1, -0.8427007929497149],
    [2, 0.9953222650189527],
    [3, 0.9999779095030014],
    [7, 1],
    [1e-3, 0.0011283787909692363],
  ];
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '' });
  const x = { name: 'x', type: 'float64', shape: [known.length] } as const;
  const y = erfFloat64(g, x);
  const data = Float64Array.from(known, ([at]) => at);
  const found = await runOnce(modelFrom(g, [x], [y]), { x: { type: 'float64', dims: [known.length], data } });
  known.forEach(([, value], i) => expect(Math.abs(Number(found[y.name]!.data[i]) - value)).toBeLessThan(1e-13));
});
