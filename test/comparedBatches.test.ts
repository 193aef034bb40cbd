/** @file Losses that compare rows: batches in branches of a graph, and part by part, beside the whole. */

import { fileURLToPath } from 'node:url';
import { openModel, type Runtime } from '@onnx-lora/sdk';
import { type Batch, type ComparingLoss, comparingLoss } from '@onnx-lora/sdk/tasks';
import { measurePrecision, ParameterSet, planAdapter, Trainer, type TrainerRequest } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { methodsPlugin } from '@onnx-lora/methods';
import { sciencePlugin, sequenceRetrieval } from '@onnx-lora/science';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../packages/science/src/fixtures/esmMasked', import.meta.url));
const model = await openModel(folder, { plugins: [sciencePlugin, methodsPlugin] });

/** Short firsts, long seconds. */
const random = new Random(3);
const drawn = (length: number): string => Array.from({ length }, () => 'AGLSKEVT'[random.index(8)]).join('');
const pairs = Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, sequence: drawn(4 + (i % 3)), second: drawn(30 + i), where: `pair ${i}` })); // prettier-ignore
const task = sequenceRetrieval({ train: pairs, warnings: [] }, { loss: 'info-nce', temperature: 0.3 });
const prepared = await task.prepare(model);
const { loss } = prepared as unknown as { readonly loss: ComparingLoss };
const { inputs, targets } = await prepared.collate(await Promise.all(pairs.map((_, i) => prepared.train.get(i, i))));

/** AdaLoRA adds a loss of its own to the task's. */
const { plan } = planAdapter(model, {
  tuner: { name: 'adalora', init_r: 3, target_r: 2, total_step: 100 },
  targetModules: ['query', 'value'],
});

function requestOf(request: Partial<TrainerRequest>): TrainerRequest {
  return {
    base: model.withOutputs(prepared.outputs ?? []).onnx.model,
    plan,
    loss,
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (ports) => {
      const [set, own] = [ParameterSet.initial(ports, new Random(1)), new Random(2)];
      for (const { value } of set.all) value.forEach((_, i) => (value[i] = own.uniform(-0.3, 0.3)));
      set.refresh();
      return set;
    },
    name: 'esm',
    ...request,
  };
}

/** Loss and gradients of a batch, with the number of graph runs and their rows. */
interface Found {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float32Array>;
  readonly runs: number;
  /** Number of loaded graphs. */
  readonly graphs: number;
  readonly rows: number;
  /** Whether graphs have a second part of the batch. */
  readonly branches: boolean;
}

async function stepOf(request: Partial<TrainerRequest>, batches = 1, isCompiled = false): Promise<Found> {
  let [runs, graphs, branches] = [0, 0, false];
  const createSession: Runtime['createSession'] = async (...args) => {
    graphs++;
    const session = await model.runtime.createSession(...args);
    const run: typeof session.run = (feeds) => {
      runs++;
      branches ||= Object.keys(feeds).some((name) => name.startsWith('target/part-1/'));
      return session.run(feeds);
    };
    return { ...session, run, release: () => session.release() };
  };
  const runtime = Object.assign(Object.create(model.runtime) as Runtime, { createSession });
  const trainer = new Trainer(requestOf({ ...request, runtime }));
  try {
    if (isCompiled) await trainer.compile(inputs, targets);
    let found = await trainer.lossAndGradients(inputs, targets);
    for (let i = 1; i < batches; i++) found = await trainer.lossAndGradients(inputs, targets);
    return { loss: found.loss, gradients: found.gradients, runs, graphs, rows: trainer.memoryPlan!.rows, branches };
  } finally {
    await trainer.release();
  }
}

const whole = await stepOf({ loss: (g, outputs, given) => prepared.loss(g, outputs, given) });
const { comparison } = loss;
const inOrder = comparingLoss({ features: (...args) => comparison.features(...args), loss: (...args) => comparison.loss(...args) }); // prettier-ignore

describe('a loss that compares rows', () => {
  it.each<[string, Partial<TrainerRequest>, number, number]>([
    ['by a branch of the graph for short rows and one for long ones', {}, 16, 1],
    ['by parts of four rows, one after the other', { memory: 1, pieceRows: () => 4 }, 4, 7],
    ['by parts of one row', { memory: 1, pieceRows: () => 1 }, 1, 31],
    ['by parts in the order of the batch', { memory: 1, pieceRows: () => 4, loss: inOrder }, 4, 7],
  ])('%s has the loss and gradients of the whole', async (_, request, rows, runs) => {
    expect([whole.rows, whole.runs, whole.branches]).toEqual([16, 1, false]);
    const found = await stepOf(request);
    expect([found.rows, found.runs, found.branches]).toEqual([rows, runs, runs === 1]);
    expect(found.loss).toBeCloseTo(whole.loss, 5);
    expect([...found.gradients.keys()].sort()).toEqual([...whole.gradients.keys()].sort());
    let largest = 0;
    for (const [name, gradient] of whole.gradients) {
      const own = found.gradients.get(name)!;
      largest = Math.max(largest, ...gradient.map(Math.abs));
      gradient.forEach((each, i) => expect(Math.abs(own[i]! - each)).toBeLessThan(1e-5));
    }
    expect(largest).toBeGreaterThan(0.01);
  });

  it.each([
    ['by branches', {}],
    ['by parts', { memory: 1, pieceRows: () => 4 }],
  ])('computed %s loads beforehand what its steps take, and nothing else', async (_, request) => {
    expect((await stepOf(request, 2, true)).graphs).toBe((await stepOf(request, 2)).graphs);
  });

  it('draws the same masks of dropout for the features and the gradients of a part', async () => {
    const lora = planAdapter(model, { r: 3, targetModules: ['query'], loraDropout: 0.5 });
    const seen: [string, number][] = [];
    await stepOf(
      {
        plan: lora.plan,
        memory: 1,
        pieceRows: () => 4,
        drawMask: ({ name, dims }, run) => {
          seen.push([name, run]);
          return new Uint8Array(dims.reduce((size, each) => size * each, 1)).fill(1);
        },
      },
      2,
    );
    const runs = [...new Set(seen.map(([name]) => name))].map((name) => seen.filter(([own]) => own === name).map(([, run]) => run)); // prettier-ignore
    expect(runs.length).toBeGreaterThan(0);
    for (const each of runs) expect(each).toEqual([1, 2, 3, 0, 1, 2, 3, 5, 6, 7, 4, 5, 6, 7]);
  });

  it('in integers has products measured on a part of the batch, and gradients on the whole', async () => {
    const large = await openModel(fileURLToPath(new URL('../docs/examples/models/esm2-tiny', import.meta.url)), {
      plugins: [sciencePlugin],
    });
    const asked = await task.prepare(large);
    const batch = async (count: number): Promise<Batch> => asked.collate(await Promise.all(pairs.slice(0, count).map((_, i) => asked.train.get(i, i)))); // prettier-ignore
    const request = {
      ...requestOf({ loss: (asked as unknown as { readonly loss: ComparingLoss }).loss }),
      base: large.withOutputs(asked.outputs ?? []).onnx.model,
      plan: planAdapter(large, { r: 3, targetModules: ['query', 'value'] }).plan,
      precision: { name: 'int8', saturates: false },
    } as const;
    const [whole, few] = [await batch(8), await batch(2)];
    const [asOne, byParts, alone] = [
      await measurePrecision(request, whole),
      await measurePrecision(request, whole, few),
      await measurePrecision(request, few),
    ];
    expect(byParts.products.length).toBe(24);
    expect(byParts.cosine).toBeCloseTo(asOne.cosine, 6);
    expect(byParts.lossError).toBeCloseTo(asOne.lossError, 6);
    expect(Math.abs(alone.cosine - asOne.cosine)).toBeGreaterThan(1e-4);
  });
});
