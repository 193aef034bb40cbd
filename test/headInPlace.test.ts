/** @file A head in the place of one for masked tokens: what it reads, what padding does to it, and that it serves and merges. */

import {
  attachHead,
  float32,
  type Feeds,
  int64,
  loadAdapter,
  merge,
  type Model,
  modelForAdapter,
  openModel,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { meanSquaredError, type Task, type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, type ModelProto, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-in-place-'));
afterAll(() => rmSync(root, { recursive: true }));

const width = 6;
const vocabulary = 9;
const labels = ['low', 'high'];
const random = new Random(5);

function values(dims: readonly number[]): Tensor {
  const size = dims.reduce((a, b) => a * b, 1);
  return float32(Float32Array.from({ length: size }, () => random.uniform(-1, 1)), dims); // prettier-ignore
}

/** Tokens behind a layer `body`, and scores of every word for each by `lm_head.dense` and `lm_head.decoder`. */
function masked(): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
  const initializer: ReturnType<typeof tensorProto>[] = [];
  const layer = (x: Value, name: string, out: number): Value => {
    const product = g.MatMul(x, g.Transpose(weight(`${name}.weight`, [out, width]), [1, 0]));
    return g.Add(product, weight(`${name}.bias`, [out]));
  };
  const weight = (name: string, shape: number[]): Value => {
    initializer.push(tensorProto(name, values(shape)));
    return { name, type: 'float32', shape };
  };
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', 'tokens', width] };
  layer(g.Tanh(layer(g.Tanh(layer(x, 'encoder.body', width)), 'lm_head.dense', width)), 'lm_head.decoder', vocabulary);
  g.nodes.at(-1)!.output = ['logits'];
  const port = (name: string, elemType: number, last: number[]) => ({
    name,
    type: {
      tensorType: {
        elemType,
        shape: { dim: [{ dimParam: 'batch' }, { dimParam: 'tokens' }, ...last.map((dimValue) => ({ dimValue }))] },
      },
    },
  });
  return {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'main_graph',
      node: g.nodes,
      initializer: [...initializer, ...g.initializers],
      input: [port('x', 1, [width]), port('attention_mask', 7, [])],
      output: [port('logits', 1, [vocabulary])],
    },
  };
}

async function opened(): Promise<Model> {
  const folder = mkdtempSync(path.join(root, 'm-'));
  writeOnnx(path.join(folder, 'model.onnx'), masked());
  return openModel(folder);
}

/** Rows of 3 and of 5 tokens, the first padded. */
function batch(): Feeds {
  return { x: values([2, 5, width]), attention_mask: int64([1, 1, 1, 0, 0, 1, 1, 1, 1, 1], [2, 5]) };
}

const head = (model: Model) => {
  const features = model.featuresOf('logits')!;
  const attach = { pool: 'mean', skip: 1, mask: 'attention_mask', inPlaceOf: features.module } as const;
  return { labels, output: 'logits', attach };
};

function taskOf(model: Model): Task<Feeds> {
  const feeds = batch();
  return {
    name: 'numbers',
    prepare: () =>
      Promise.resolve({
        train: { length: 1, get: () => Promise.resolve(feeds) },
        head: head(model),
        collate: ([inputs]) => Promise.resolve({ inputs: inputs!, targets: { y: float32([1, -1, -1, 1], [2, 2]) } }),
        loss: (g, outputs, targets) => meanSquaredError(g, outputs['logits']!, targets['y']!),
        metrics: () => ({ update: () => undefined, result: () => ({}) }),
      }),
  };
}

it('finds what a head of several layers reads', async () => {
  const features = (await opened()).featuresOf('logits')!;
  expect(features).toMatchObject({ module: 'lm_head.dense', dims: ['batch', 'tokens', width] });
});

it('takes its place, leaves padding out of the mean, and works from the base and the adapter alone', async () => {
  const model = await opened();
  const lora = { r: 2, targetModules: ['body'] };
  const run = await train(model, { task: taskOf(model), lora, steps: 4, batchSize: 1, lr: 3e-2 });
  const folder = path.join(root, 'adapter');
  await (await run.done).adapter.save(folder);
  const adapter = await loadAdapter(folder);
  expect([...adapter.tensors.keys()].filter((name) => name.includes('head'))).toEqual([]);

  const feeds = batch();
  const answers = async (own: Model, name: string | null): Promise<Record<string, Tensor>> => {
    const session = await own.session({ adapters: name === null ? {} : { [name]: adapter } });
    try {
      return await session.run(feeds, { adapter: name });
    } finally {
      await session.release();
    }
  };
  const { name: hidden } = model.featuresOf('logits')!;
  const { logits, [hidden]: states } = await answers(modelForAdapter<Model>(model, adapter).withOutputs([hidden]), 'a');
  const [weight, bias] = ['weight', 'bias'].map((each) => adapter.tensors.get(`base_model.model.classifier.${each}`)!.data); // prettier-ignore
  // The first token is left out (skip), and so is padding.
  const wanted = [
    [0, [1, 2]],
    [1, [1, 2, 3, 4]],
  ].flatMap(([row, tokens]) => {
    const mean = Array.from({ length: width }, (_, k) => {
      const of = (tokens as number[]).map((t) => Number(states!.data[((row as number) * 5 + t) * width + k]));
      return of.reduce((a, b) => a + b, 0) / of.length;
    });
    return labels.map((_, o) => mean.reduce((sum, value, k) => sum + value * Number(weight![o * width + k]), Number(bias![o]))); // prettier-ignore
  });
  expect(logits!.dims).toEqual([2, 2]);
  wanted.forEach((value, i) => expect(logits!.data[i]).toBeCloseTo(value, 5));

  const merged = path.join(mkdtempSync(path.join(root, 'merged-')), 'model.onnx');
  await merge(model, adapter, merged);
  const plain = await openModel(merged);
  expect(Object.keys(plain.outputs)).toEqual(['logits']);
  const after = (await answers(plain, null))['logits']!;
  logits!.data.forEach((value, i) => expect(after.data[i]).toBeCloseTo(Number(value), 5));
});

it('says what is missing', async () => {
  const model = await opened();
  const given = head(model);
  const other = (attach: object): unknown => attachHead(model, { ...given, attach: { ...given.attach, ...attach } });
  expect(() => other({ mask: 'mask' })).toThrow(/no input "mask"/);
  expect(() => other({ inPlaceOf: 'lm_head.dens' })).toThrow(/no module "lm_head.dens".*did you mean "lm_head.dense"/i);
});
