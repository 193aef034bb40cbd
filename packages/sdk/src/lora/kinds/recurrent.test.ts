/** @file Adapters of LSTM and GRU: what is served and trained is the node with torch's weights and the deltas added by hand. */

import { describe, expect, test } from 'vitest';
import { serve, sited } from '../../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../../test/support/storedWeights.ts';
import { Adapter } from '../../adapter/adapter.ts';
import { adapterFeeds } from '../../adapter/serving/feeds.ts';
import { mergeAdapter } from '../../adapter/merging/merge.ts';
import { adapterConfig } from '../../adapter/formats/peftConfig.ts';
import type { Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { Random } from '../../runtime/random.ts';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { injectAdapters } from '../inject.ts';

const [hidden, width, r, alpha] = [3, 4, 2, 6];
const x: Value = { name: 'x', type: 'float32', shape: [5, 2, width] };
const feeds = { x: float32(randomFloats(x.shape as number[], new Random(1)), x.shape as number[]) };

/** Gates in torch's order and in ONNX's, by their letters. */
const cells = { LSTM: ['ifgo', 'iofg'], GRU: ['rzn', 'zrn'] } as const;

interface Weights {
  /** By torch's name, `[gates · hidden, in]`, gates in torch's order. */
  readonly [name: string]: Float32Array;
}

/** The rows of torch's matrix in ONNX's order of gates. */
function inOnnxOrder(op: keyof typeof cells, values: Float32Array, columns: number): number[] {
  const [torch, onnx] = cells[op];
  const block = hidden * columns;
  return [...onnx].flatMap((gate) => [
    ...values.subarray(torch.indexOf(gate) * block, (torch.indexOf(gate) + 1) * block),
  ]);
}

/** `/rnn/LSTM` in both directions, or backwards alone, with torch's weights. */
function model(op: keyof typeof cells, direction: string, weights: Weights): ModelProto {
  const g = new WeightBuilder(17, '/rnn/');
  const suffixes = { bidirectional: ['', '_reverse'], forward: [''], reverse: ['_reverse'] }[direction]!;
  const rows = cells[op][0].length * hidden;
  const stacked = (name: string, columns: number): Value =>
    g.floats(
      suffixes.flatMap((suffix) => inOnnxOrder(op, weights[`${name}_l0${suffix}`]!, columns)),
      [suffixes.length, rows, columns],
    );
  const bias = g.floats(randomFloats([suffixes.length * 2 * rows], new Random(3)), [suffixes.length, 2 * rows]);
  const inputs = [x, stacked('weight_ih', width), stacked('weight_hh', hidden), bias];
  const [y] = g.emitMany(op, inputs, op === 'LSTM' ? 3 : 2, {
    hidden_size: hidden,
    direction,
    ...(op === 'GRU' ? { linear_before_reset: 1 } : {}),
  });
  g.nodes.at(-1)!.name = `/rnn/${op}`;
  const out = g.Identity(y!);
  return modelOf({ opset: 17, inputs: [x], outputs: [out.name], nodes: g.nodes, initializers: g.initializers });
}

const run = async (proto: ModelProto, more: Record<string, Tensor> = {}): Promise<Tensor> =>
  (await runOnce(proto, { ...feeds, ...more }))[proto.graph!.output![0]!.name!]!;

describe.each(['LSTM', 'GRU'] as const)('%s', (op) => {
  describe.each(['forward', 'reverse', 'bidirectional'])('%s', (direction) => {
    const suffixes = { bidirectional: ['', '_reverse'], forward: [''], reverse: ['_reverse'] }[direction]!;
    const names = suffixes.flatMap((suffix) => [`weight_ih_l0${suffix}`, `weight_hh_l0${suffix}`]);
    const rows = cells[op][0].length * hidden;
    const random = new Random(7);
    const columns = (name: string): number => (name.startsWith('weight_ih') ? width : hidden);
    const weights = Object.fromEntries(names.map((name) => [name, randomFloats([rows, columns(name)], random)]));
    const base = sited(model(op, direction, weights));
    // PEFT nests the wrappers of several parameters, the first that torch registers innermost.
    const chosen = names.filter((_, i) => names.length < 4 || i !== 2);
    const tensors = new Map<string, Tensor>();
    const changed: Record<string, Float32Array> = { ...weights };
    chosen.forEach((name, i) => {
      const module = `base_model.model.rnn${'.base_layer'.repeat(chosen.length - 1 - i)}`;
      const [A, B] = [randomFloats([r, columns(name)], random), randomFloats([rows, r], random)];
      tensors.set(`${module}.lora_A.weight`, float32(A, [r, columns(name)]));
      tensors.set(`${module}.lora_B.weight`, float32(B, [rows, r]));
      changed[name] = weights[name]!.map((value, at) => {
        const [row, column] = [Math.floor(at / columns(name)), at % columns(name)];
        let sum = 0;
        for (let k = 0; k < r; k++) sum += B[row * r + k]! * A[k * columns(name) + column]!;
        return value + (alpha / r) * sum;
      });
    });
    const config = adapterConfig({ r, loraAlpha: alpha, targetParameters: chosen.map((name) => `rnn.${name}`) });
    const adapter = new Adapter(config, tensors);
    const expected = run(model(op, direction, changed));

    test('has its weights under the names of torch', () => {
      expect(base.sites.map(({ path, weightShape, pathSource }) => [path, weightShape, pathSource])).toEqual(
        names.map((name) => [`rnn.${name}`, [rows, columns(name)], 'node-name']),
      );
    });

    test('serves the deltas, and without an adapter the base', async () => {
      const session = await serve(base, { adapter });
      const [output] = session.outputNames as [string];
      expect(difference((await session.run(feeds, { adapter: 'adapter' }))[output], await expected)).toBeLessThan(1e-5);
      expect(difference((await session.run(feeds))[output], await run(base.model))).toBe(0);
      await session.release();
      expect(difference(await run(base.model), await expected)).toBeGreaterThan(0.1);
    });

    test('trains the same graph, and merges into its weights', async () => {
      const placed = base.place(adapter);
      const plan = placed.tunings.map(({ tuning }) => tuning);
      const injected = injectAdapters(base.model, plan, { types: base.types, mode: 'training' });
      const own = Object.fromEntries(adapterFeeds(placed, injected.inputs));
      expect(difference(await run(injected.model, own), await expected)).toBeLessThan(1e-5);
      const merged = mergeAdapter(base.model, placed);
      expect(merged).toMatchObject({ untied: [], beside: [], rounding: [] });
      expect(difference(await run(merged.model), await expected)).toBeLessThan(1e-5);
      const back = mergeAdapter(merged.model, sited(merged.model).place(adapter), { unmerge: true });
      expect(difference(await run(back.model), await run(base.model))).toBeLessThan(1e-5);
    });
  });
});
