/** @file Tuners whose layers share factors, and whose tasks mix skills, against PEFT and formulas. */

import path from 'node:path';
import {
  Adapter,
  convertToLora,
  int64,
  loadAdapter,
  type LoraOptions,
  type Model,
  openModel,
  OrtRuntime,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { crossEntropy, type PreparedTask, type Task } from '@onnx-lora/sdk/tasks';
import { checkAdapterRoundTrip, checkTuner, randomAdapter } from '@onnx-lora/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { memorising, taskOf } from '../fixtures/memorise.ts';
import { forTask, multitask } from './index.ts';
import { methodsPlugin } from './plugin.ts';
import { tiedlora } from './tuners/sharedProjections/tiedlora.ts';

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

  const tuner = { name: 'poly', r: 2, n_skills: 3, n_splits: 2 };

  it('trains and runs several tasks in one batch, also where layers read all tokens as one list', async () => {
    const opened = await openModel(path.join(cases, 'peft-vera-conv1d-gpt2/model.onnx'), { plugins, runtime: new OrtRuntime() }); // prettier-ignore
    const gpt2 = opened.withRowInputs(['task_ids']);
    const { tensors } = await readSafetensors(path.join(cases, 'peft-vera-conv1d-gpt2/inputs.safetensors'));
    const { labels, ...inputs } = Object.fromEntries(tensors) as Record<string, Tensor>;
    const rows = labels!.dims[0]!;
    const known = taskOf(rows, inputs, { labels: labels! }, (g, { logits }, targets) => crossEntropy(g, logits!, targets['labels']!)); // prettier-ignore
    const learn = async (on: Model, task: Task, n_tasks: number): Promise<Adapter> => {
      const lora = { tuner: { ...tuner, n_tasks }, targetModules: ['c_attn'] };
      return (await (await train(on, { task, lora, steps: 3, batchSize: rows, lr: 0.05 })).done).adapter; // prettier-ignore
    };
    // All of one task out of two is that task alone.
    const ofOne = await multitask([known, known]).prepare(gpt2);
    const first: Task = { ...known, prepare: () => Promise.resolve(Object.assign(Object.create(ofOne) as PreparedTask, { train: { length: rows, get: (i: number) => ofOne.train.get(i) } })) }; // prettier-ignore
    const [one, two] = [await learn(opened, known, 1), await learn(gpt2, first, 2)];
    for (const [name, { data, dims }] of one.tensors) {
      const own = two.tensors.get(name)!;
      if (own.dims.join() !== dims.join()) continue;
      (own.data as Float32Array).forEach((each, i) => {
        expect(each).toBeCloseTo((data as Float32Array)[i]!, 5);
      });
    }
    // With two, each row has its task's values.
    const drawn = await randomAdapter(gpt2, { lora: { tuner: { ...tuner, n_tasks: 2 }, targetModules: ['c_attn'] } });
    const both = new Adapter(drawn.config, new Map([...drawn.tensors].map(([name, own]) => [name, { ...own, data: (own.data as Float32Array).map((_, i) => 3 * Math.sin(i * i + name.length)) } as Tensor]))); // prettier-ignore
    const task_ids = int64(Array.from({ length: rows }, (_, i) => i % 2), [rows]); // prettier-ignore
    const run = async (adapter: Adapter): Promise<Float32Array> => {
      const session = await gpt2.session({ adapters: { adapter }, threads: 1 });
      const { logits } = await session.run({ ...inputs, task_ids }, { adapter: 'adapter' });
      await session.release();
      return logits!.data as Float32Array;
    };
    const [mixed, ...alone] = [await run(both), await run(forTask(both, 0)), await run(forTask(both, 1))];
    const width = mixed.length / rows;
    mixed.forEach((each, i) => {
      expect(each).toBeCloseTo(alone[Math.floor(i / width) % 2]![i]!, 4);
    });
    expect(alone[0]!.some((each, i) => Math.abs(each - alone[1]![i]!) > 1e-3)).toBe(true);
  });

  it('says which input it lacks, which tasks there are, and what cannot be several at once', async () => {
    const folder = path.join(cases, 'peft-poly');
    const base = await openModel(path.join(folder, 'model.onnx'), { plugins, runtime: new OrtRuntime() });
    const skills = await loadAdapter(path.join(folder, 'adapter'));
    await expect(base.session({ adapters: { skills } })).rejects.toThrow('reads "task_ids", a number for each example of a batch, and the model has no such input. Take model.withRowInputs(["task_ids"])'); // prettier-ignore
    expect(() => base.withRowInputs(['x'])).toThrow('has a value "x" already');
    expect(() => forTask(skills, 3)).toThrow('The adapter of Poly has 3 tasks, and 3 is none of them.');
    expect(() => forTask(new Adapter({ ...skills.config, peftType: 'LORA' }, skills.tensors), 0)).toThrow('only those of Poly have tasks'); // prettier-ignore
    const known = await memorising(folder);
    expect(() => multitask([known])).toThrow('are two at least');
    await expect(multitask([known, known]).prepare(base)).rejects.toThrow('has no input "task_ids"');
    const rows = base.withRowInputs(['task_ids']);
    await expect(multitask([known, { ...known, name: 'other' }]).prepare(rows)).rejects.toThrow('must be of one kind');
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
    await expect(randomAdapter(model, { lora: lora(['A', 'u']) })).rejects.toThrow('must be with B or v');
    await expect(randomAdapter(model, { lora: lora(['w']) })).rejects.toThrow('must be some of A, B, u, v');
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
