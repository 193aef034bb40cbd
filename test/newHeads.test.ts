/** @file Heads for labels that the base does not have: trained, served beside the base's own, merged, and attached. */

import {
  Adapter,
  attachHead,
  combineAdapters,
  evaluate,
  type Feeds,
  float32,
  int64,
  loadAdapter,
  merge,
  type Model,
  modelForAdapter,
  openModel,
  stack,
  type Tensor,
  train,
} from '@onnx-lora/sdk';
import { readSafetensors, Random } from '@onnx-lora/sdk/data';
import { meanSquaredError, type Task, type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, type ModelProto, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { adapterConfig } from '../packages/sdk/src/adapter/formats/peftConfig.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-heads-'));
afterAll(() => rmSync(root, { recursive: true }));

const random = new Random(11);
function values(dims: readonly number[]): Tensor {
  const size = dims.reduce((a, b) => a * b, 1);
  return float32(Float32Array.from({ length: size }, () => random.uniform(-1, 1)), dims); // prettier-ignore
}

const width = 6;
const tokens = 5;

/** `x` `[batch, 5, 6]` → tokens behind a linear layer; where `ends` is given, what that makes of them. */
function network(ends?: (g: GraphBuilder, hidden: Value, weight: (name: string, dims: number[]) => Value) => Value) {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
  const own = new Random(3);
  const initializer: ReturnType<typeof tensorProto>[] = [];
  const weight = (name: string, dims: number[]): Value => {
    const data = new Float32Array(dims.reduce((a, b) => a * b, 1)).map(() => own.uniform(-0.5, 0.5));
    initializer.push(tensorProto(name, float32(data, dims)));
    return { name, type: 'float32', shape: dims };
  };
  const x: Value = { name: 'x', type: 'float32', shape: ['batch', tokens, width] };
  const body = g.Add(g.MatMul(x, g.Transpose(weight('body.weight', [width, width]), [1, 0])), weight('body.bias', [width])); // prettier-ignore
  const last = ends ? ends(g, body, weight) : body;
  g.nodes.at(-1)!.output = [ends ? 'logits' : 'last_hidden_state'];
  const dim = last.shape!.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  const proto: ModelProto = {
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'main_graph',
      node: g.nodes,
      initializer: [...initializer, ...g.initializers],
      input: [
        {
          name: 'x',
          type: {
            tensorType: {
              elemType: 1,
              shape: { dim: [{ dimParam: 'batch' }, { dimValue: tokens }, { dimValue: width }] },
            },
          },
        },
      ],
      output: [
        {
          name: ends ? 'logits' : 'last_hidden_state',
          type: { tensorType: { elemType: 1, shape: { dim } } },
        },
      ],
    },
  };
  return proto;
}

let count = 0;
async function opened(proto: ModelProto, config: object = { id2label: { 0: 'a', 1: 'b', 2: 'c' } }): Promise<Model> {
  const folder = mkdtempSync(path.join(root, `m${count++}-`));
  writeOnnx(path.join(folder, 'model.onnx'), proto);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  return openModel(folder);
}

const classifier = network((g, hidden, weight) => {
  const first = g.Squeeze(g.Slice(hidden, [0], [1], [1]), [1]);
  return g.Gemm(first, weight('classifier.weight', [3, width]), weight('classifier.bias', [3]), { transB: true });
});

/** Rows of tokens, and numbers that the head shall give. */
function taskOf(labels: readonly string[], head: object): Task {
  const examples = Array.from({ length: 12 }, () => ({ x: values([tokens, width]), y: values([labels.length]) }));
  const dataset = { length: 12, get: (i: number) => Promise.resolve(examples[i]!) };
  return {
    name: 'numbers',
    prepare: () =>
      Promise.resolve({
        train: dataset,
        head: { labels, output: 'logits', ...head },
        collate: (batch) =>
          Promise.resolve({
            inputs: { x: stack((batch as typeof examples).map(({ x }) => x)) },
            targets: { y: stack((batch as typeof examples).map(({ y }) => y)) },
          }),
        loss: (g, outputs, targets) => meanSquaredError(g, outputs['logits']!, targets['y']!),
        metrics: () => {
          let [sum, n] = [0, 0];
          return {
            update({ logits }, { y }) {
              const [p, t] = [logits!.data as Float32Array, y!.data as Float32Array];
              for (let i = 0; i < p.length; i++, n++) sum += (p[i]! - t[i]!) ** 2;
            },
            result: () => ({ mse: sum / n }),
          };
        },
      }),
  };
}

const five = ['v', 'w', 'x', 'y', 'z'];
const lora = { r: 2, targetModules: ['body'] };

async function logitsOf(model: Model, feeds: Feeds, adapter?: Adapter): Promise<Tensor> {
  const session = await model.session({ adapters: adapter ? { a: adapter } : {} });
  try {
    return (await session.run(feeds, { adapter: adapter ? 'a' : null }))['logits']!;
  } finally {
    await session.release();
  }
}

/** rows · weightᵀ + bias, by hand. */
function linear(rows: Tensor, weight: Tensor, bias: Tensor): number[] {
  const [out, n] = weight.dims as [number, number];
  const [r, w, b] = [rows.data, weight.data, bias.data] as Float32Array[];
  return Array.from({ length: rows.dims[0]! * out }, (_, i) => {
    const [row, o] = [Math.floor(i / out), i % out];
    let sum = b![o]!;
    for (let k = 0; k < n; k++) sum += r![row * n + k]! * w![o * n + k]!;
    return sum;
  });
}

function expectClose(found: Tensor, wanted: ArrayLike<number>, digits = 5): void {
  expect(found.data).toHaveLength(wanted.length);
  for (let i = 0; i < wanted.length; i++) expect(Number(found.data[i])).toBeCloseTo(wanted[i]!, digits);
}

/** An adapter of the body, with these heads. */
function headed(heads: Readonly<Record<string, Tensor>>, notes: Adapter['notes'] = {}): Adapter {
  const modules = [...new Set(Object.keys(heads).map((name) => name.slice(0, name.lastIndexOf('.'))))];
  return new Adapter(
    adapterConfig({ r: 2, loraAlpha: 4, targetModules: ['body'], modulesToSave: modules }),
    new Map([
      ['base_model.model.body.lora_A.weight', values([2, width])],
      ['base_model.model.body.lora_B.weight', values([width, 2])],
      ...Object.entries(heads).map(([name, tensor]) => [`base_model.model.${name}`, tensor] as const),
    ]),
    undefined,
    notes,
  );
}

describe('several adapters with heads', () => {
  const head = (): Record<string, Tensor> => ({
    'classifier.weight': values([3, width]),
    'classifier.bias': values([3]),
  });
  const parts = (one: Adapter, two: Adapter, weights = [1, 1]): { adapter: Adapter; weight: number; name: string }[] =>
    [one, two].map((adapter, i) => ({ adapter, weight: weights[i]!, name: ['one', 'two'][i]! }));
  const out = (): string => path.join(mkdtempSync(path.join(root, 'several-')), 'model.onnx');

  it.each([
    ['trained to different values', head(), head()],
    ['of different sizes', head(), { 'classifier.weight': values([2, width]), 'classifier.bias': values([2]) }],
  ])('are refused in the words of combining, where the heads are %s', async (_, a, b) => {
    const model = await opened(classifier);
    const [one, two] = [headed(a), headed(b)];
    const refusal = await merge(model, parts(one, two), out()).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'INPUT_INVALID' });
    const combined = ((): unknown => {
      try {
        return combineAdapters(parts(one, two), { method: 'linear' });
      } catch (error) {
        return error;
      }
    })();
    expect((refusal as Error).message).toBe((combined as Error).message);
    const session = await model.session({ adapters: { one, two } });
    await expect(session.run({ x: values([2, tokens, width]) }, { adapter: { one: 1, two: 1 } })).rejects.toThrow(
      (combined as Error).message,
    );
    await session.release();
  });

  it('keep a head in which they agree, whatever their weights', async () => {
    const model = await opened(classifier);
    const same = head();
    const [one, two] = [headed(same), headed(same)];
    const feeds = { x: values([2, tokens, width]) };
    for (const weights of [
      [1, 1],
      [0.7, 0.3],
    ]) {
      // prettier-ignore
      const { files } = await merge(model, parts(one, two, weights), out());
      const merged = await openModel(files[0]!);
      const features = merged.headInput('logits')!.name;
      const session = await merged.withOutputs([features]).session();
      const answers = await session.run(feeds);
      await session.release();
      expectClose(answers['logits']!, linear(answers[features]!, same['classifier.weight']!, same['classifier.bias']!));
      const blend = await model.session({ adapters: { one, two } });
      const blended = await blend.run(feeds, { adapter: { one: weights[0]!, two: weights[1]! } });
      await blend.release();
      expectClose(blended['logits']!, answers['logits']!.data as Float32Array);
    }
  });

  it('take a head that the base does not have whole, whatever its weight', async () => {
    const model = await opened(network());
    const attached = { module: 'classifier', output: 'last_hidden_state', pool: 'mean', skip: 0 } as const;
    const own = { 'classifier.weight': values([2, width]), 'classifier.bias': values([2]) };
    const one = headed(own, { head: attached, labels: ['a', 'b'] });
    const feeds = { x: values([2, tokens, width]) };
    const half = [{ adapter: one, weight: 0.5, name: 'one' }];
    const { files } = await merge(model, half, out());
    const session = await (await openModel(files[0]!)).session();
    const answers = await session.run(feeds);
    await session.release();
    const blend = await model.session({ adapters: { one } });
    const blended = await blend.run(feeds, { adapter: { one: 0.5 } });
    await blend.release();
    const hidden = answers['last_hidden_state'] ?? blended['last_hidden_state']!;
    const [n, data] = [hidden.dims[0]!, hidden.data as Float32Array];
    const mean = Float32Array.from({ length: n * width }, (_, i) => {
      const [row, k] = [Math.floor(i / width), i % width];
      return Array.from({ length: tokens }, (_t, t) => data[(row * tokens + t) * width + k]!).reduce((a, b) => a + b, 0) / tokens; // prettier-ignore
    });
    expectClose(
      answers['logits']!,
      linear(float32(mean, [n, width]), own['classifier.weight'], own['classifier.bias']),
    );
    expectClose(blended['logits']!, answers['logits']!.data as Float32Array);
    await expect(merge(model, [{ adapter: one, weight: -1, name: 'one' }], out())).rejects.toThrow(
      /Adapter "one" has trained "classifier\.weight" in full, and with the weight -1 it would have to be subtracted/,
    );
  });

  it('are refused where one adapts what another has replaced, and where DoRA meets another change', async () => {
    const model = await opened(classifier);
    const tuned = (target: string, more: Record<string, Tensor> = {}): Adapter => {
      const out_ = target === 'body' ? width : 3;
      return new Adapter(
        adapterConfig({ r: 2, loraAlpha: 4, targetModules: [target], useDora: Object.keys(more).length > 0 }),
        new Map([
          [`base_model.model.${target}.lora_A.weight`, values([2, width])],
          [`base_model.model.${target}.lora_B.weight`, values([out_, 2])],
          ...Object.entries(more).map(([name, tensor]) => [`base_model.model.${name}`, tensor] as const),
        ]),
      );
    };
    await expect(merge(model, parts(headed(head()), tuned('classifier')), out())).rejects.toThrow(
      /Adapter "one" has trained "classifier\.weight" in full, and adapter "two" adapts it from the base's values/,
    );
    const dora = tuned('body', { 'body.lora_magnitude_vector': values([width]) });
    await expect(merge(model, parts(tuned('body'), dora), out())).rejects.toThrow(
      /Adapter "two" is DoRA on "body", which adapter "one" adapts as well/,
    );
    await expect(merge(model, parts(tuned('classifier'), dora), out())).resolves.toMatchObject({
      modules: ['classifier', 'body'],
    });
  });
});

describe('a head for other labels', () => {
  it('is trained, saved as PEFT saves it, and answers as in training, served and merged', async () => {
    const model = await opened(classifier);
    const task = taskOf(five, {});
    const before = (await evaluate(model, { task })).metrics['mse']!;
    const { adapter } = await (await train(model, { task, lora, steps: 60, batchSize: 12, lr: 3e-2 })).done;
    const folder = path.join(root, 'five');
    await adapter.save(folder);
    const loaded = await loadAdapter(folder);
    expect(loaded.config.modulesToSave).toEqual(['classifier']);
    expect(loaded.config.targetModules).toEqual(['body']);
    expect(loaded.notes.labels).toEqual(five);
    const [weight, bias] = ['weight', 'bias'].map((each) => loaded.tensors.get(`base_model.model.classifier.${each}`)!);
    expect([weight!.dims, bias!.dims]).toEqual([[5, width], [5]]);

    const own = modelForAdapter(model, loaded);
    expect(own.config!['id2label']).toEqual({ 0: 'v', 1: 'w', 2: 'x', 3: 'y', 4: 'z' });
    expect(own.outputs['logits']!.dims).toEqual(['batch', 5]);
    expect(await own.digest()).toBe(await model.digest());

    // The layer's input with the adapter, times the adapter's weight.
    const feeds = { x: values([4, tokens, width]) };
    const { name } = model.headInput('logits')!;
    const session = await model.withOutputs([name]).session({ adapters: { a: loaded } });
    const served = await session.run(feeds, { adapter: 'a' });
    const base = await session.run(feeds, { adapter: null });
    await session.release();
    expect(served['logits']!.dims).toEqual([4, 5]);
    expectClose(served['logits']!, linear(served[name]!, weight!, bias!));
    expectClose(base['logits']!, (await logitsOf(model, feeds)).data as Float32Array);

    const merged = path.join(mkdtempSync(path.join(root, 'merged-')), 'model.onnx');
    const result = await merge(model, loaded, merged);
    expect(result.files).toEqual([merged]);
    expect(readdirSync(path.dirname(merged))).toEqual(['model.onnx']);
    const plain = await openModel(merged);
    // The labels are in the file.
    expect(plain.config).toMatchObject({ id2label: { 0: 'v', 4: 'z' } });
    expect(plain.outputs['logits']!.dims).toEqual(['batch', 5]);
    expect(plain.modules().map((module) => module.path)).toEqual(model.modules().map((module) => module.path));
    expectClose(await logitsOf(plain, feeds), served['logits']!.data as Float32Array);

    const others = taskOf(['v', 'w'], {});
    await expect(evaluate(model, { task: others, adapter: loaded })).rejects.toThrow(
      /other labels than the adapter: v, w\..*trained on: v, w, x, y, z/,
    );
    const after = (await evaluate(model, { task, adapter: loaded })).metrics['mse']!;
    expect(after).toBeLessThan(before / 2);
  });

  it('starts as transformers starts one', async () => {
    const model = await opened(classifier, { initializer_range: 0.5 });
    const many = Array.from({ length: 400 }, (_, i) => `l${i}`);
    const { model: headed, modules } = attachHead(model, { output: 'logits', labels: many });
    expect(modules).toEqual(['classifier']);
    const feeds = { x: values([3, tokens, width]) };
    const { name } = headed.headInput('logits')!;
    const session = await headed.withOutputs([name]).session();
    const { logits, [name]: features } = await session.run(feeds);
    await session.release();
    // With independent weights, the scores of a row have the deviation 0.5 · ‖features‖, and the mean 0.
    for (let row = 0; row < 3; row++) {
      const scores = [...(logits!.data as Float32Array).subarray(row * 400, row * 400 + 400)];
      const norm = Math.hypot(...(features!.data as Float32Array).subarray(row * width, row * width + width));
      const mean = scores.reduce((a, b) => a + b, 0) / 400;
      const deviation = Math.sqrt(scores.reduce((a, b) => a + (b - mean) ** 2, 0) / 400);
      expect(deviation / (0.5 * norm)).toBeGreaterThan(0.85);
      expect(deviation / (0.5 * norm)).toBeLessThan(1.15);
      expect(Math.abs(mean)).toBeLessThan(0.5 * norm * 0.2);
    }
  });

  it('serves heads of several sizes from one session, and refuses to mix them in a batch', async () => {
    const model = await opened(classifier);
    const headOf = (size: number, digest?: string): Adapter =>
      new Adapter(
        adapterConfig({ r: 2, loraAlpha: 4, targetModules: ['body'], modulesToSave: ['classifier'] }),
        new Map([
          ['base_model.model.body.lora_A.weight', values([2, width])],
          ['base_model.model.body.lora_B.weight', values([width, 2])],
          ['base_model.model.classifier.weight', values([size, width])],
          ['base_model.model.classifier.bias', values([size])],
        ]),
        digest,
      );
    const [two, seven, three] = [headOf(2), headOf(7), headOf(3)];
    const session = await model.session({ adapters: { two, seven } });
    await session.add('three', three);
    await session.add('nine', headOf(9));
    const feeds = { x: values([2, tokens, width]) };
    for (const [name, size, adapter] of [
      ['two', 2, two],
      ['seven', 7, seven],
      ['three', 3, three],
    ] as const) {
      // prettier-ignore
      const { logits } = await session.run(feeds, { adapter: name });
      expect(logits!.dims).toEqual([2, size]);
      expectClose(logits!, (await logitsOf(modelForAdapter(model, adapter), feeds, adapter)).data as Float32Array);
    }
    expect((await session.run(feeds, { adapter: 'nine' }))['logits']!.dims).toEqual([2, 9]);
    expect((await session.run(feeds))['logits']!.dims).toEqual([2, 3]);
    expect((await session.run(feeds, { adapter: ['three', null] }))['logits']!.dims).toEqual([2, 3]);
    await expect(session.run(feeds, { adapter: ['two', 'seven'] })).rejects.toThrow(
      /heads "classifier" of their own, with different numbers of outputs.*Run one batch per adapter/,
    );
    await expect(session.run(feeds, { adapter: { two: 0.5, seven: 0.5 } })).rejects.toThrow(
      /Adapter "two" and adapter "seven" have both trained "classifier\.weight" in full/,
    );
    await expect(session.run(feeds, { adapter: { two: 0.5 } })).rejects.toThrow(/cannot be blended/);
    await session.release();

    const reserved = await model.session({ targetModules: ['body'], modulesToSave: ['classifier'] });
    await reserved.add('seven', seven);
    expect((await reserved.run(feeds, { adapter: 'seven' }))['logits']!.dims).toEqual([2, 7]);
    await reserved.release();
    await expect(merge(model, [two, seven], path.join(root, 'both.onnx'))).rejects.toThrow(
      /Adapter 1 of 2 and adapter 2 of 2 have both trained "classifier\.weight" in full/,
    );
  });

  it('is a convolution where the base has one, also behind a resize', async () => {
    const maps = network((g, hidden, weight) => {
      const map = g.Reshape(hidden, [0, width, 1, tokens]);
      const scores = g.emit('Conv', [map, weight('decode_head.classifier.weight', [3, width, 1, 1]), weight('decode_head.classifier.bias', [3])]); // prettier-ignore
      return g.emit('Resize', [scores, undefined, g.constant(float32([1, 1, 2, 2], [4]))], { mode: 'nearest' });
    });
    const model = await opened(maps);
    const head = { output: 'logits', labels: five };
    const { modules, model: headed } = attachHead(model, head);
    expect(modules).toEqual(['decode_head.classifier']);
    expect(headed.outputs['logits']!.dims).toEqual(['batch', 5, 2, 10]);
    const adapter = new Adapter(
      adapterConfig({ r: 2, loraAlpha: 4, targetModules: ['body'], modulesToSave: modules }),
      new Map([
        ['base_model.model.body.lora_A.weight', values([2, width])],
        ['base_model.model.body.lora_B.weight', values([width, 2])],
        ['base_model.model.decode_head.classifier.weight', values([5, width, 1, 1])],
        ['base_model.model.decode_head.classifier.bias', values([5])],
      ]),
    );
    const feeds = { x: values([2, tokens, width]) };
    const served = await logitsOf(model, feeds, adapter);
    expect(served.dims).toEqual([2, 5, 2, 10]);
    const file = path.join(root, 'maps.onnx');
    await merge(model, adapter, file);
    expectClose(await logitsOf(await openModel(file), feeds), served.data as Float32Array);
  });

  it('replaces two heads whose mean is the answer', async () => {
    const distilled = network((g, hidden, weight) => {
      const token = (i: number): Value => g.Squeeze(g.Slice(hidden, [i], [i + 1], [1]), [1]);
      const head = (i: number, name: string): Value =>
        g.Gemm(token(i), weight(`${name}.weight`, [3, width]), weight(`${name}.bias`, [3]), { transB: true });
      return g.Div(g.Add(head(0, 'cls_classifier'), head(1, 'distillation_classifier')), 2);
    });
    const { modules, model } = attachHead(await opened(distilled), { output: 'logits', labels: five });
    expect([...modules].sort()).toEqual(['cls_classifier', 'distillation_classifier']);
    expect((await logitsOf(model, { x: values([2, tokens, width]) })).dims).toEqual([2, 5]);
  });

  it('is one of several whose results are stacked, where one is chosen; not where scores are cut', async () => {
    const stack = (g: GraphBuilder, hidden: Value, weight: (name: string, dims: number[]) => Value): Value[] =>
      ['a', 'b'].map((name) => {
        const scores = g.Add(g.MatMul(hidden, weight(`${name}.weight`, [width, 3])), weight(`${name}.bias`, [3]));
        // A quality of each token.
        return g.Unsqueeze(g.Add(scores, g.MatMul(hidden, weight(`${name}quality.weight`, [width, 1]))), [1]);
      });
    const chosen = await opened(network((g, hidden, weight) => g.Gather(g.Concat(stack(g, hidden, weight), 1), g.constant(int64([1], [])), 1))); // prettier-ignore
    const { modules, model } = attachHead(chosen, { output: 'logits', labels: five });
    expect(modules).toHaveLength(2);
    expect((await logitsOf(model, { x: values([2, tokens, width]) })).dims).toEqual([2, tokens, 5]);
    const cut = await opened(network((g, hidden, weight) => g.Slice(stack(g, hidden, weight)[0]!, [0], [2], [3])));
    expect(() => attachHead(cut, { output: 'logits', labels: five })).toThrow(/\(Slice\) behind it/);
    const joined = await opened(network((g, hidden, weight) => g.Concat(stack(g, hidden, weight), 3)));
    expect(() => attachHead(joined, { output: 'logits', labels: five })).toThrow(/\(Concat\) behind it/);
  });

  it('is refused where the graph is written for its own number', async () => {
    const first = (g: GraphBuilder, hidden: Value): Value => g.Squeeze(g.Slice(hidden, [0], [1], [1]), [1]);
    const head = (g: GraphBuilder, hidden: Value, weight: (name: string, dims: number[]) => Value): Value =>
      g.Gemm(first(g, hidden), weight('classifier.weight', [3, width]), weight('classifier.bias', [3]), {
        transB: true,
      });
    const reshaped = await opened(network((g, hidden, weight) => g.Reshape(head(g, hidden, weight), [-1, 3])));
    expect(() => attachHead(reshaped, { output: 'logits', labels: five })).toThrow(
      /"classifier".*another number of outputs than 3: the node "c\/Reshape_\d+" \(Reshape\)/,
    );
    const scaled = await opened(network((g, hidden, weight) => g.Mul(head(g, hidden, weight), weight('prior', [3]))));
    expect(() => attachHead(scaled, { output: 'logits', labels: five })).toThrow(/\(Mul\) behind it/);
    const fine = await opened(network((g, hidden, weight) => g.Softmax(g.Mul(g.Reshape(head(g, hidden, weight), [0, -1]), 2), -1))); // prettier-ignore
    expect((await logitsOf(attachHead(fine, { output: 'logits', labels: five }).model, { x: values([2, tokens, width]) })).dims).toEqual([2, 5]); // prettier-ignore
    const none = await opened(network((g, hidden) => g.Tanh(g.ReduceSum(hidden, [1], false))));
    expect(() => attachHead(none, { output: 'logits', labels: five })).toThrow(/No single layer/);
    expect(() => attachHead(fine, { output: 'logits', labels: [] })).toThrow(/needs labels/);
    expect(() => attachHead(fine, { output: 'logits', labels: ['a', 'a'] })).toThrow(/"a" occurs twice/);
    expect(() => attachHead(fine, { output: 'logit', labels: five })).toThrow(/no output "logit".*logits/);
  });
});

describe('a head for a model without one', () => {
  it.each([
    ['first', 0, (h: number[][]) => h[0]!],
    ['mean', 1, (h: number[][]) => meanOf(h.slice(1))],
    ['first-and-mean', 2, (h: number[][]) => [...h[0]!, ...meanOf(h.slice(2))]],
  ] as const)('reads %s tokens, and works from the base and the adapter alone', async (pool, skip, features) => {
    const model = await opened(network(), {});
    const task = taskOf(five, { output: 'last_hidden_state', attach: { pool, skip } });
    const { adapter } = await (await train(model, { task, lora, steps: 5, batchSize: 12, lr: 3e-2 })).done;
    const folder = path.join(root, `attached-${pool}`);
    await adapter.save(folder);
    const loaded = await loadAdapter(folder);
    expect(loaded.notes.head).toEqual({ module: 'classifier', output: 'last_hidden_state', pool, skip });

    const session = await model.session({ adapters: { a: loaded } });
    const feeds = { x: values([2, tokens, width]) };
    const { logits, last_hidden_state: hidden } = await session.run(feeds, { adapter: 'a' });
    await session.release();
    const rows = [0, 1].flatMap((row) => {
      const all = hidden!.data as Float32Array;
      const own = Array.from({ length: tokens }, (_, t) => [...all.subarray((row * tokens + t) * width, (row * tokens + t + 1) * width)]); // prettier-ignore
      return features(own);
    });
    const [weight, bias] = ['weight', 'bias'].map((each) => loaded.tensors.get(`base_model.model.classifier.${each}`)!);
    expectClose(logits!, linear(float32(rows, [2, rows.length / 2]), weight!, bias!));

    const merged = path.join(mkdtempSync(path.join(root, 'merged-')), 'model.onnx');
    await merge(model, loaded, merged);
    expectClose(await logitsOf(await openModel(merged), feeds), logits!.data as Float32Array);
  });

  it('is refused where there are no such features', async () => {
    const model = await opened(network(), {});
    expect(() => attachHead(model, { output: 'last_hidden_state', labels: five, attach: { pool: 'all' } })).toThrow(
      /cannot be attached.*\[batch, 5, 6\]/,
    );
    const { adapter } = await (
      await train(model, {
        task: taskOf(five, { output: 'last_hidden_state', attach: { pool: 'first' } }),
        lora,
        steps: 1,
      })
    ).done;
    const broken = new Adapter(
      adapter.config,
      new Map([...adapter.tensors, ['base_model.model.classifier.weight', values([5, 4])]]),
      adapter.baseDigest,
      adapter.notes,
    );
    await expect(model.session({ adapters: { broken } })).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
  });
});

it('continues from a checkpoint, with its labels only', async () => {
  const model = await opened(classifier);
  const task = taskOf(five, {});
  const options = { task, lora, steps: 6, batchSize: 4, lr: 1e-2, seed: 2, threads: 1 } as const;
  const { adapter: whole } = await (await train(model, options)).done;
  const checkpoints = { folder: path.join(root, 'checkpoints') };
  const run = await train(model, { ...options, checkpoints });
  for await (const event of run) if (event.type === 'step' && event.step === 3) run.stop();
  const { adapter } = await (await train(model, { ...options, checkpoints, resume: true })).done;
  expect([...adapter.tensors]).toEqual([...whole.tensors]);
  expect(adapter.notes).toEqual(whole.notes);
  const renamed = { ...options, task: taskOf(['1', '2', '3', '4', '5'], {}), checkpoints, resume: true } as const;
  await expect(train(model, renamed)).rejects.toThrow(/another run: labels was \["v"/);
});

it('gives outputs in the units of the data where it was trained on standardised ones', async () => {
  const model = await opened(classifier);
  const targetScaling = { factor: [10, 100], offset: [-3, 500] };
  const options = { lora, steps: 3, batchSize: 12, lr: 1e-2, seed: 4 } as const;
  const task = taskOf(['p', 'q'], {});
  const scaled: Task = {
    ...task,
    prepare: async (m) => {
      const prepared = await task.prepare(m);
      return { ...prepared, head: { ...prepared.head!, targetScaling } };
    },
  };
  const feeds = { x: values([3, tokens, width]) };
  const outputs: Float32Array[] = [];
  for (const each of [task, scaled]) {
    const { adapter } = await (await train(model, { ...options, task: each })).done;
    outputs.push((await logitsOf(model, feeds, adapter)).data as Float32Array);
  }
  const [y, inUnits] = outputs as [Float32Array, Float32Array];
  y.forEach((value, i) =>
    expect(inUnits[i]).toBeCloseTo(targetScaling.factor[i % 2]! * value + targetScaling.offset[i % 2]!, 2),
  );
});

it('saves what the task learns from the finished adapter', async () => {
  const model = await opened(classifier);
  const task = taskOf(five, {});
  const asked: number[][] = [];
  const learning: Task = {
    ...task,
    prepare: async (m) => ({
      ...(await task.prepare(m)),
      finish: async (request) => {
        for (const which of ['base', 'adapted'] as const)
          asked.push([...(await request.run({ x: values([1, tokens, width]) }, which))['logits']!.dims]);
        return { temperature: 2 };
      },
    }),
  };
  const { adapter } = await (await train(model, { task: learning, lora, steps: 1 })).done;
  expect(asked).toEqual([[1, 5], [1, 5]]); // prettier-ignore
  const folder = path.join(root, 'learned');
  await adapter.save(folder);
  const loaded = await loadAdapter(folder);
  expect(loaded.notes.learned).toEqual({ temperature: 2 });
  expect(modelForAdapter(model, loaded).learned).toEqual({ temperature: 2 });
  const file = path.join(folder, 'adapter_model.safetensors');
  expect(existsSync(file)).toBe(true);
  const bytes = readFileSync(file);
  writeFileSync(file, Buffer.from(bytes.toString('latin1').replace('\\"v\\",', '44444,'), 'latin1')); // prettier-ignore
  await expect(loadAdapter(folder)).rejects.toMatchObject({ code: 'ADAPTER_INVALID' });
});

function meanOf(rows: readonly number[][]): number[] {
  return rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
}

const cases = fileURLToPath(new URL('../../shared/oracle/cases', import.meta.url));

describe.skipIf(!existsSync(cases))('published architectures', () => {
  it.each([
    ['convnext-dw-v4', ['classifier']],
    ['convnext-dynamo-v5', ['classifier']],
    ['convnext-v4', ['classifier']],
    ['deit-v4', ['classifier']],
    ['dinov2-dynamo-v5', ['classifier']],
    ['dinov2-v4', ['classifier']],
    ['resnet-dynamo-v5', ['classifier.1']],
    ['resnet-v4', ['classifier.1']],
    ['siglip-cls-dynamo-v5', ['classifier']],
    ['swin-onnxslim-v4', ['classifier']],
    ['swin-v4', ['classifier']],
    ['vit-dynamo-v5', ['classifier']],
    ['vit-onnxslim-v4', ['classifier']],
    ['vit-opset13-v4', ['classifier']],
    ['vit-v5', ['classifier']],
  ])('%s gets a head of five', async (name, expected) => {
    const model = await openModel(path.join(cases, name, 'model.onnx'));
    const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
    const feeds = Object.fromEntries(Object.keys(model.inputs).map((input) => [input, tensors.get(input)!]));
    const { model: headed, modules } = attachHead(model, { output: 'logits', labels: five });
    expect([...modules].sort()).toEqual(expected);
    // An adapter with the head that was drawn does the same on the base.
    const weights = new Map(
      headed.sites().flatMap(({ path: module, weight, bias, weightShape }): [string, Tensor][] => {
        if (!modules.includes(module)) return [];
        const [out, width] = weightShape as [number, number];
        const rows = weight.stored.read();
        const data = rows.map((_, i) => rows[(i % width) * out + Math.floor(i / width)]!);
        return [
          [`base_model.model.${module}.weight`, float32(data, [out, width])],
          [`base_model.model.${module}.bias`, float32(bias!.stored.read(), [out])],
        ];
      }),
    );
    const config = adapterConfig({
      r: 1,
      loraAlpha: 1,
      targetModules: 'dummy-target-modules',
      modulesToSave: [...modules],
    });
    const wanted = await logitsOf(headed, feeds);
    expect(wanted.dims).toEqual([feeds[Object.keys(feeds)[0]!]!.dims[0], 5]);
    const adapter = new Adapter(config, weights);
    expectClose(await logitsOf(model, feeds, adapter), wanted.data as Float32Array, 4);
    const file = path.join(mkdtempSync(path.join(root, 'case-')), 'model.onnx');
    await merge(model, adapter, file);
    expectClose(await logitsOf(await openModel(file), feeds), wanted.data as Float32Array, 4);
  });
});
