/** @file MixLoRA of a gated feed-forward block, held to a loop over tokens and experts. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, float32, type Model, openModel } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import { checkGradients, ModelBuilder, publishModel, randomAdapter, type SmallModel } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { methodsPlugin } from '../plugin.ts';

const [WIDTH, INNER, EXPERTS, RANK] = [6, 10, 4, 2];
const modules = ['query', 'block.gate', 'block.up', 'block.down'];
const tuner = { name: 'mixlora', num_experts: EXPERTS, r: RANK, lora_alpha: 3, router_init_range: 1, feedforward_modules: ['gate', 'up', 'down'] }; // prettier-ignore

/** x `[batch, tokens, 6]` → query, to which what the block makes of it is added. */
function gatedNet(): SmallModel {
  const builder = new ModelBuilder({ seed: 3 });
  const { g } = builder;
  const linear = (x: Value, name: string, width: number, out: number): Value =>
    g.MatMul(x, builder.weight(`${name}.weight`, [width, out], 1.5));
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 'tokens', WIDTH] };
  const query = linear(x, 'query', WIDTH, WIDTH);
  const gate = linear(query, 'block.gate', WIDTH, INNER);
  const up = linear(query, 'block.up', WIDTH, INNER);
  const down = linear(g.Mul(g.Mul(gate, g.Sigmoid(gate)), up), 'block.down', INNER, WIDTH);
  const y = g.Add(query, down);
  builder.name('/Add', 'y');
  return builder.model([x], [{ ...y, name: 'y' }]);
}

let scratch = '';
let model: Model;
beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-mixlora-'));
  model = await openModel(await publishModel(path.join(scratch, 'net'), { model: gatedNet() }), { plugins: [methodsPlugin] }); // prettier-ignore
});
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

const x = float32(
  Float32Array.from({ length: 2 * 5 * WIDTH }, (_, i) => Math.sin(i * i)),
  [2, 5, WIDTH],
);

/** Outputs of the net for a token, by a loop over the experts of its router. */
function computed(adapter: Adapter, token: readonly number[], k: number): number[] {
  const numbers = (name: string): Float32Array => adapter.tensors.get(name)!.data as Float32Array;
  const weights = new Map(model.sites().map((site) => [site.path, site.weight.stored.read()]));
  const linear = (module: string, x: readonly number[], expert?: number): number[] => {
    const [names, at] = expert === undefined ? [['lora_A', 'lora_B'], 0] : [['mixlora_A', 'mixlora_B'], expert];
    const [A, B] = names.map((name) => numbers(`base_model.model.${module}.${name}`)) as [Float32Array, Float32Array];
    const W = weights.get(module)!;
    const out = W.length / x.length;
    const inner = Array.from({ length: RANK }, (_, k) => sum(x.length, (i) => A[(at * RANK + k) * x.length + i]! * x[i]!)); // prettier-ignore
    return Array.from({ length: out }, (_, o) => sum(x.length, (i) => W[i * out + o]! * x[i]!) + 1.5 * sum(RANK, (k) => B[(at * out + o) * RANK + k]! * inner[k]!)); // prettier-ignore
  };
  const query = linear('query', token);
  const router = numbers('base_model.mixlora_router.block');
  const scores = Array.from({ length: EXPERTS }, (_, e) => Math.exp(sum(WIDTH, (i) => router[e * WIDTH + i]! * query[i]!))); // prettier-ignore
  const best = [...scores.keys()].sort((one, other) => scores[other]! - scores[one]!).slice(0, k);
  const total = best.reduce((all, e) => all + scores[e]!, 0);
  const outputs = best.map((e) => {
    const [gate, up] = [linear('block.gate', query, e), linear('block.up', query, e)];
    const inner = gate.map((each, i) => (each / (1 + Math.exp(-each))) * up[i]!);
    return linear('block.down', inner, e).map((each) => (scores[e]! / total) * each);
  });
  return query.map((each, i) => each + outputs.reduce((all, output) => all + output[i]!, 0));
}

function sum(count: number, of: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += of(i);
  return total;
}

it.each([1, 2, 3])('computes the block by the %d best experts of each token', async (k) => {
  const adapter = await randomAdapter(model, { lora: { tuner: { ...tuner, top_k: k }, targetModules: modules } });
  const session = await model.session({ adapters: { adapter }, threads: 1 });
  const { y } = await session.run({ x }, { adapter: 'adapter' });
  await session.release();
  for (let row = 0; row < 10; row++) {
    const of = (data: ArrayLike<number>): number[] => Array.from(data).slice(row * WIDTH, (row + 1) * WIDTH);
    const expected = computed(adapter, of(x.data as Float32Array), k);
    of(y!.data as Float32Array).forEach((each, i) => {
      expect(each).toBeCloseTo(expected[i]!, 4);
    });
  }
});

it('has the gradients of differences, with the loss of the router', async () => {
  const lora = { tuner: { ...tuner, router_aux_loss_coef: 0.1 }, targetModules: modules };
  const checked = await checkGradients(model, { lora, inputs: { x }, targets: {}, loss: (g, { y }) => g.ReduceMean(g.Mul(y!, y!), [0, 1, 2], false) }); // prettier-ignore
  // A and B of four layers, and one router.
  expect(checked).toHaveLength(9);
  expect(checked.flatMap(({ problem }) => problem ?? [])).toEqual([]);
});

it.each([
  [['down', 'gate', 'up'], '"block.up" comes before another layer of its feed-forward block'],
  [['up', 'gate'], '"block.gate" comes before another layer of its feed-forward block'],
  [['gate', 'up'], 'cannot be computed a second time: the one does not follow from the others'],
])('refuses the order %j', async (feedforward_modules, message) => {
  const lora = { tuner: { ...tuner, feedforward_modules }, targetModules: modules };
  await expect(randomAdapter(model, { lora })).rejects.toThrow(message);
});
