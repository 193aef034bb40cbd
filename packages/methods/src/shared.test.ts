/** @file Tuners whose layers share factors, and whose tasks mix skills, against PEFT and formulas. */

import path from 'node:path';
import {
  Adapter,
  convertToLora,
  loadAdapter,
  type LoraOptions,
  type Model,
  openModel,
  OrtRuntime,
} from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { checkAdapterRoundTrip, checkTuner, randomAdapter } from '@onnx-lora/sdk/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { forTask } from './index.ts';
import { methodsPlugin } from './plugin.ts';
import { tiedlora } from './tuners/tiedlora.ts';

const cases = path.join(import.meta.dirname, '../../../test/fixtures/cases');
const plugins = [methodsPlugin];
let model: Model;
beforeAll(async () => {
  model = await openModel(path.join(cases, 'peft-shira/model.onnx'), { plugins, runtime: new OrtRuntime() });
});

const up = [0, 1, 2, 3].map((i) => `layers.${i}.up`);

describe('Lily', () => {
  const lora: LoraOptions = { tuner: { name: 'lily', r: 3, stride_A: 2 }, targetModules: ['up', 'down'] };

  it('has one B for all layers of a name, and an A for two in a row, in the file of each', async () => {
    const { tensors } = await randomAdapter(model, { lora });
    const dataOf = (module: string, word: string): unknown => tensors.get(`base_model.model.${module}.lily_${word}.weight`)!.data; // prettier-ignore
    for (const module of up) expect(dataOf(module, 'B')).toEqual(dataOf(up[0]!, 'B'));
    expect(dataOf(up[1]!, 'A')).toEqual(dataOf(up[0]!, 'A'));
    expect(dataOf(up[3]!, 'A')).toEqual(dataOf(up[2]!, 'A'));
    expect(dataOf(up[2]!, 'A')).not.toEqual(dataOf(up[0]!, 'A'));
    expect(dataOf('layers.0.down', 'B')).not.toEqual(dataOf(up[0]!, 'B'));
  });

  it('reads from the file which layers share', async () => {
    const adapter = await randomAdapter(model, { lora });
    const inputs = async (own: Adapter): Promise<Set<string>> => {
      const { tunings } = await model.place(own);
      return new Set(tunings.map(({ tuning }) => tuning.tensor('lily_B.weight').name));
    };
    expect((await inputs(adapter)).size).toBe(2);
    const name = 'base_model.model.layers.3.up.lily_B.weight';
    const own = adapter.tensors.get(name)!;
    const other = { ...own, data: (own.data as Float32Array).map((each) => -each) } as typeof own;
    const apart = new Adapter(adapter.config, new Map([...adapter.tensors, [name, other]]));
    expect((await inputs(apart)).size).toBe(3);
    expect(await checkAdapterRoundTrip(model, apart, { rows: false })).toEqual([]);
  });
});

describe('Poly', () => {
  it("has PEFT's outputs for rows of several tasks, each row by its task as LoRA", async () => {
    const folder = path.join(cases, 'peft-poly');
    const base = await openModel(path.join(folder, 'model.onnx'), { plugins, runtime: new OrtRuntime() });
    const [inputs, expected] = await Promise.all(['inputs', 'expected'].map((name) => readSafetensors(path.join(folder, `${name}.safetensors`)))); // prettier-ignore
    const skills = await loadAdapter(path.join(folder, 'adapter'));
    const adapters: Record<string, Adapter> = {};
    for (const task of [0, 1, 2]) {
      const { adapter, errors } = await convertToLora(forTask(skills, task), base, { r: 4 });
      expect([...errors.values()]).toEqual([0, 0]);
      adapters[task] = adapter;
    }
    const tasks = Array.from(inputs!.tensors.get('task_ids')!.data as BigInt64Array, String);
    expect(new Set(tasks).size).toBeGreaterThan(1);
    const session = await base.session({ adapters });
    const found = (await session.run({ x: inputs!.tensors.get('x')! }, { adapter: tasks }))['logits']!;
    await session.release();
    const wanted = expected!.tensors.get('lora.logits')!.data as Float32Array;
    (found.data as Float32Array).forEach((each, i) => {
      expect(each).toBeCloseTo(wanted[i]!, 4);
    });
  });

  it('says that a task must be named, and which there are', async () => {
    const folder = path.join(cases, 'peft-poly');
    const base = await openModel(path.join(folder, 'model.onnx'), { plugins, runtime: new OrtRuntime() });
    const skills = await loadAdapter(path.join(folder, 'adapter'));
    await expect(base.place(skills)).rejects.toThrow('The adapter of Poly has 3 tasks, and nothing says which one is meant.'); // prettier-ignore
    expect(() => forTask(skills, 3)).toThrow('The adapter of Poly has 3 tasks, and 3 is none of them.');
    const lora = { tuner: { name: 'poly', n_tasks: 2 }, targetModules: ['up'] };
    await expect(randomAdapter(model, { lora })).rejects.toThrow('Poly trains 2 tasks at once');
    expect(() => forTask(new Adapter({ ...skills.config, peftType: 'LORA' }, skills.tensors), 0)).toThrow('only those of Poly have tasks'); // prettier-ignore
  });
});

describe('Tied-LoRA', () => {
  it('trains some of its parts, and begins as the base whichever they are', async () => {
    for (const trains of [
      ['u', 'v'],
      ['B', 'u'],
      ['A', 'B'],
    ])
      expect(await checkTuner(tiedlora, { r: 2, trains }), trains.join()).toEqual([]);
    const lora = (trains: readonly string[]): LoraOptions => ({ tuner: { name: 'tiedlora', trains }, targetModules: ['up'] }); // prettier-ignore
    await expect(randomAdapter(model, { lora: lora(['A', 'u']) })).rejects.toThrow('must name B or v');
    await expect(randomAdapter(model, { lora: lora(['w']) })).rejects.toThrow('must name some of A, B, u, v');
  });

  it('is s·diag(v)·B·diag(u)·A, with one A and one B for layers of a shape', async () => {
    const lora = { tuner: { name: 'tiedlora', r: 2, alpha: 6 }, targetModules: ['up', 'down'] };
    const adapter = await randomAdapter(model, { lora });
    const { adapter: plain } = await convertToLora(adapter, model, { r: 2 });
    const of = ({ tensors }: Adapter, name: string): Float32Array => tensors.get(`base_model.${name}`)!.data as Float32Array; // prettier-ignore
    const [A, B] = [of(adapter, 'tied_A.24x16'), of(adapter, 'tied_B.24x16')];
    const [u, v] = [of(adapter, 'model.layers.2.up.tied_u'), of(adapter, 'model.layers.2.up.tied_v')];
    const [ownA, ownB] = [of(plain, 'model.layers.2.up.lora_A.weight'), of(plain, 'model.layers.2.up.lora_B.weight')];
    for (let o = 0; o < 24; o++)
      for (let i = 0; i < 16; i++) {
        const wanted = [0, 1].reduce((sum, k) => sum + 3 * v[o]! * B[2 * o + k]! * u[k]! * A[16 * k + i]!, 0);
        expect([0, 1].reduce((sum, k) => sum + ownB[2 * o + k]! * ownA[16 * k + i]!, 0)).toBeCloseTo(wanted, 5);
      }
  });
});
