/** @file Tuners of plugins, held to PEFT's numbers: (IA)³, which scales, and LoHa, whose change of the weight is no low-rank product. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Adapter,
  combineAdapters,
  exportWithInputs,
  type Feeds,
  float32,
  loadAdapter,
  type LoraOptions,
  type Model,
  negate,
  OnnxLoraError,
  openModel,
  OrtRuntime,
  previewLora,
  saveOnnxAdapter,
  train,
  type TrainOptions,
  unmerge,
} from '@onnx-lora/sdk';
import { methodsPlugin } from '@onnx-lora/methods';
import { readSafetensors } from '@onnx-lora/sdk/data';
import {
  type ChangeByFactors,
  type ChangeOfWeight,
  definePlugin,
  type Plugin,
  type Tuner,
  type AdapterLayer,
  inNaming,
} from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import { checkAdapterRoundTrip, checkGradients, checkTuner, randomAdapter } from '@onnx-lora/testing'; // prettier-ignore
import { visionFamilies } from '@onnx-lora/vision';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { publishModel as publishForecaster, writeSensor } from '../docs/examples/series/published.ts';
import { call } from '../packages/cli/fixtures/call.ts';
import { ia3 } from '../packages/methods/src/tuners/fromWeights/ia3.ts';
import { loha } from '../packages/methods/src/tuners/lowRank/loha.ts';
import { taskOf } from '../packages/sdk/fixtures/memorise.ts';

const cases = path.join(import.meta.dirname, 'fixtures/cases');

/** A layer whose adapter replaces its computation. */
type Applied = Exclude<AdapterLayer, ChangeByFactors | ChangeOfWeight>;

/** Scales the weight by outputs, and not the bias: x·Wᵀ + b + x·((l − 1)∘W)ᵀ. */
const scaledWeight: Tuner = {
  ...ia3,
  name: 'scaled-weight',
  peftType: 'SCALED',
  tune: (...given) => {
    const { tensors, weight, unmerged } = ia3.tune(...given) as Applied;
    return {
      tensors,
      weight: weight!,
      unmerged: { weight: unmerged!.weight! },
      apply: (g, { x, forward, weight }, { ia3_l }) => {
        const more = g.Mul(weight(), g.Sub(ia3_l!, 1));
        return g.Add(forward(x), g.MatMul(x, g.Transpose(more, [1, 0])));
      },
    };
  },
};
const scaledPlugin = definePlugin({ name: 'scaled', tuners: [scaledWeight] });
const plugins: readonly Plugin[] = [methodsPlugin, scaledPlugin];

const IA3 = { tuner: { name: 'ia3', feedforward_modules: ['down'] }, targetModules: ['up', 'down'] };
const LOHA = { tuner: { name: 'loha', r: 2, alpha: 3 }, targetModules: ['up', 'down'] };
const SCALED = { tuner: 'scaled-weight', targetModules: ['up', 'head'] };

let scratch = '';
let model: Model;
let feeds: Feeds;

beforeAll(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tuners-'));
  model = await openModel(path.join(cases, 'peft-ia3/model.onnx'), { plugins, runtime: new OrtRuntime() });
  feeds = {
    x: float32(
      Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
      [4, 8],
    ),
  };
});
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

async function logits(
  base: Model,
  adapters: Readonly<Record<string, Adapter>> = {},
  adapter: string | null = null,
): Promise<Float32Array> {
  const session = await base.session({ adapters, threads: 1 });
  try {
    return (await session.run(feeds, { adapter }))['logits']!.data as Float32Array;
  } finally {
    await session.release();
  }
}

/** But for what the runtime rounds otherwise when it fuses other nodes. */
function expectSame(found: Float32Array, expected: Float32Array): void {
  expect(found).toHaveLength(expected.length);
  found.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 6);
  });
}

describe.each<[string, LoraOptions]>([
  ['ia3', IA3],
  ['loha', LOHA],
  ['scaled-weight', SCALED],
])('%s', (_, lora) => {
  it('is saved, loaded and merged as it is', async () => {
    expect(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora }))).toEqual([]);
  });

  it('has the gradients of finite differences', async () => {
    const found = await checkGradients(model, {
      lora,
      inputs: feeds,
      targets: {},
      loss: (g, { logits: y }) => g.ReduceMean(g.Mul(y!, g.Mul(y!, y!)), [0, 1], false),
      elements: 3,
    });
    expect(found.length).toBeGreaterThan(3);
    expect(found.flatMap(({ problem }) => problem ?? [])).toEqual([]);
  });

  it('leaves the base as it is before it is trained and where a run names no adapter', async () => {
    const base = await logits(model);
    const trained = await randomAdapter(model, { lora });
    expectSame(await logits(model, { trained }), base);
    const run = await train(model, { ...options(), lora, lr: 1e-30, steps: 1 });
    expectSame(await logits(model, { first: (await run.done).adapter }, 'first'), base);
  });
});

/** Four rows to learn by heart. */
function options(): Pick<TrainOptions, 'task' | 'batchSize'> {
  const y = float32(
    Float32Array.from({ length: 12 }, (_, i) => Math.cos(i)),
    [4, 3],
  );
  const task = taskOf(4, feeds, { y }, (g, { logits: found }, { y: wanted }) => {
    const difference = g.Sub(found!, wanted!);
    return g.ReduceMean(g.Mul(difference, difference), [0, 1], false);
  });
  return { task, batchSize: 2 };
}

describe('training', () => {
  it('continues after an interruption as if there had been none, and saves what PEFT reads', async () => {
    const all = { ...options(), lora: IA3, lr: 0.05, steps: 6 };
    const whole = await (await train(model, all)).done;
    const folder = path.join(scratch, 'checkpoints');
    const half = await train(model, { ...all, checkpoints: { folder, every: 3 } });
    for await (const event of half) if (event.type === 'checkpoint' && event.step === 3) half.stop();
    await half.done;
    const again = await (await train(model, { ...all, checkpoints: { folder, every: 3 }, resume: true })).done;
    expect([...again.adapter.tensors]).toEqual([...whole.adapter.tensors]);
    const saved = path.join(scratch, 'saved');
    await whole.adapter.save(saved);
    const [own, peft] = [saved, path.join(cases, 'peft-ia3/adapter')].map(
      (each) => JSON.parse(readFileSync(path.join(each, 'adapter_config.json'), 'utf8')) as Record<string, unknown>,
    ) as [Record<string, unknown>, Record<string, unknown>];
    expect(Object.keys(own)).toEqual(Object.keys(peft));
    // PEFT refuses names of feed-forward layers that target_modules does not have.
    expect(own['target_modules']).toEqual(expect.arrayContaining(own['feedforward_modules'] as string[]));
    expect(own['feedforward_modules']).toHaveLength(4);
    expect((await loadAdapter(saved)).config.peftType).toBe('IA3');
  });

  it('counts what it trains', () => {
    // Four layers from 16 to 24 and back: a factor for each of 24 outputs, and for each of 24 inputs.
    expect(previewLora(model, IA3).trainableParameters).toBe(4 * (24 + 24));
    expect(previewLora(model, LOHA).trainableParameters).toBe(8 * 2 * 2 * (16 + 24));
  });
});

describe('what a layer reads where others yield something else', () => {
  /** up twice as large: for all that follows, or for what down reads alone. */
  const doubled = (given?: (path: string) => string): Plugin => {
    const outputs = new Map<string, Value>();
    const tune: Tuner['tune'] = ({ path }) => ({
      tensors: { unused: { dims: [1], init: () => new Float32Array(1), identity: () => new Float32Array(1) } },
      apply: (g, { x, forward, inputGiven }) => {
        const y = forward(x);
        const name = given?.(path);
        if (name !== undefined) return forward(inputGiven({ [name]: outputs.get(name) ?? y }));
        if (!path.endsWith('up')) return y;
        outputs.set(path, g.Mul(y, 2));
        return given ? y : outputs.get(path)!;
      },
    });
    return definePlugin({ name: 'doubled', tuners: [{ name: 'doubled', peftType: 'DOUBLED', description: 'twice: as large', defaults: {}, tune }] }); // prettier-ignore
  };
  const of = async (given?: (path: string) => string): Promise<Float32Array> => {
    const base = await openModel(path.join(cases, 'peft-ia3/model.onnx'), { plugins: [doubled(given)], runtime: new OrtRuntime() }); // prettier-ignore
    const adapter = await randomAdapter(base, { lora: { tuner: 'doubled', targetModules: ['up', 'down'] } });
    return logits(base, { adapter }, 'adapter');
  };

  it('is what it would read then', async () => {
    const beside = await of((name) => (name.endsWith('down') ? name.replace('down', 'up') : undefined)!);
    expectSame(beside, await of());
    expect(beside).not.toEqual(await logits(model));
  });

  it.each([
    ['a layer that it does not follow from', 'layers.3.down', 'the one does not follow from the others'],
    ['an adapted layer between', 'layers.0.up', '"/layers.0/down/Gemm" belongs to a layer that is adapted'],
  ])('is refused for %s', async (_, from, message) => {
    await expect(of((name) => (name === 'layers.1.down' ? from : undefined)!)).rejects.toThrow(message);
  });
});

describe('a session', () => {
  it('holds adapters of LoRA and of tuners for different layers, of which a run names one', async () => {
    const lora = await randomAdapter(model, { lora: { r: 2, targetModules: ['stem'] } });
    const tuned = await randomAdapter(model, { lora: IA3 });
    const [onlyLora, onlyTuned] = [await logits(model, { lora }, 'lora'), await logits(model, { tuned }, 'tuned')];
    expectSame(await logits(model, { lora, tuned }, 'lora'), onlyLora);
    expectSame(await logits(model, { lora, tuned }, 'tuned'), onlyTuned);
  });

  it('refuses what it cannot hold or blend', async () => {
    const [a, b] = [await randomAdapter(model, { lora: IA3 }), await randomAdapter(model, { lora: IA3, seed: 2 })];
    const lora = await randomAdapter(model, { lora: { r: 2, targetModules: ['up'] } });
    const loha = await randomAdapter(model, { lora: LOHA });
    for (const other of [lora, loha])
      await expect(model.session({ adapters: { a, other } })).rejects.toThrow(
        /in different ways, which one session cannot hold/,
      );
    const scaled = await randomAdapter(model, { lora: SCALED });
    const alone = await model.session({ adapters: { scaled } });
    await expect(alone.run(feeds, { adapter: { scaled: 0.5 } })).rejects.toThrow(
      /SCALED, whose adapters do not add up/,
    );
    await alone.release();
    const session = await model.session({ adapters: { a, b } });
    await expect(session.add('late', loha)).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
    await session.replace('b', a);
    await session.release();
  });
});

describe('errors', () => {
  it('name the type that no plugin brings, and the plugin as the remedy', async () => {
    const adapter = await loadAdapter(path.join(cases, 'peft-ia3/adapter'));
    const bare = await openModel(path.join(cases, 'peft-ia3/model.onnx'));
    await expect(bare.session({ adapters: { adapter } })).rejects.toThrow(/of the type IA3, .* --plugin/);
  });

  it.each<[string, LoraOptions, RegExp]>([
    ['a tuner that is not there', { tuner: 'ia4' }, /no tuner "ia4"\. Did you mean "ia3"\?/],
    [
      'a setting that it has not',
      { tuner: { name: 'ia3', feedforward: [] } },
      /no setting "feedforward"\..*feedforward_modules/,
    ],
    ['an option of LoRA', { ...IA3, r: 4 }, /"r" is an option of LoRA/],
    [
      'a layer that the tuner refuses',
      { ...LOHA, tuner: { name: 'lora-xs', r: 99 } },
      /"layers.0.up" cannot be adapted by the tuner "lora-xs": the layer has \d+ singular vectors, and the rank is 99/,
    ],
    ['a target that is not there', { ...IA3, targetModules: ['left'] }, /left/],
  ])('of training: %s', (_, lora, message) => {
    expect(() => previewLora(model, lora)).toThrow(message);
  });

  it('of what only LoRA can', async () => {
    const adapter = await randomAdapter(model, { lora: IA3 });
    expect(() => negate(adapter)).toThrow(/only LoRA adapters/);
    expect(() => combineAdapters([{ adapter }, { adapter }], { method: 'linear' })).toThrow(/only LoRA adapters/);
    await expect(saveOnnxAdapter(adapter, path.join(scratch, 'a.onnx_adapter'))).rejects.toThrow(/only LoRA adapters/);
    const oneWay = { ...ia3, tune: (...given) => ({ ...ia3.tune(...given), unmerged: undefined! }) } satisfies Tuner;
    const base = path.join(cases, 'peft-ia3/model.onnx');
    const other = await openModel(base, { plugins: [definePlugin({ name: 'one-way', tuners: [oneWay] })] });
    const back = path.join(scratch, 'back.onnx');
    await expect(unmerge(other, adapter, back)).rejects.toThrow(/is IA3, whose change of the weight its tuner cannot take back/); // prettier-ignore
  });

  it('of tensors that are missing or of another shape', async () => {
    const { config, tensors } = await randomAdapter(model, { lora: LOHA });
    const [[name]] = [...tensors] as [[string, never]];
    const without = new Map([...tensors].filter(([each]) => each !== name));
    await expect(model.place(new Adapter(config, without))).rejects.toThrow(/hada_w1_a is missing/);
    const other = new Map(tensors).set(name, float32([1], [1, 1]));
    await expect(model.place(new Adapter(config, other))).rejects.toThrow(/has shape \[1, 1\]/);
  });
});

describe('layers of real models', () => {
  const lora = (tuner: string): LoraOptions => ({ tuner, targetModules: ['query', 'value'] });

  it.each(['vit-v4', 'bert-fused-ortopt', 'bert-nbits4-qdq', 'albert-shared-v4'])('%s', async (name) => {
    const file = path.join(cases, name, 'model.onnx');
    const { tensors } = await readSafetensors(path.join(cases, name, 'inputs.safetensors'));
    const real = await openModel(file, { plugins, runtime: new OrtRuntime() });
    const inputs = Object.fromEntries([...tensors].filter(([each]) => Object.hasOwn(real.inputs, each)));
    for (const tuner of ['ia3', 'loha', 'scaled-weight'])
      expect(await checkAdapterRoundTrip(real, await randomAdapter(real, { lora: lora(tuner) }), { feeds: inputs })).toEqual([]); // prettier-ignore
  });

  it('are refused where they multiply integers', async () => {
    const model = await openModel(path.join(cases, 'bert-int8-dynamic/model.onnx'), { plugins });
    expect(() => previewLora(model, lora('ia3'))).toThrow(/the layer rounds its input/);
  });

  it('have no names of another version of transformers', async () => {
    const [old, young] = await Promise.all(['vit-v4', 'vit-dynamo-v5'].map((name) => openModel(path.join(cases, name, 'model.onnx'), { plugins, families: visionFamilies }))) as [Model, Model]; // prettier-ignore
    const adapter = await randomAdapter(old, { lora: lora('ia3') });
    expect(() => inNaming(adapter, 5, old)).toThrow(/only LoRA adapters can be given the names/);
    await expect(young.place(adapter, { allowBaseMismatch: true })).rejects.toThrow(/only LoRA adapters can be given/);
  });
});

it('is exported as optional inputs', async () => {
  const adapter = await randomAdapter(model, { lora: IA3 });
  const { inputs } = await exportWithInputs(model, { adapter }, path.join(scratch, 'open.onnx'));
  expect(inputs).toContain('layers.0.up.ia3_l');
  const open = await openModel(path.join(scratch, 'open.onnx'));
  expectSame(await logits(open), await logits(model));
});

describe('the check of the kit', () => {
  const fail = (): never => {
    throw new TypeError('no.');
  };

  it('passes tuners that are right, on products that add the bias themselves', async () => {
    expect(await checkTuner(ia3)).toEqual([]);
    expect(await checkTuner(loha)).toEqual([]);
    expect(await checkTuner(ia3, { feedforward_modules: ['encoder.1'] })).toEqual([]);
  });

  const changed = (change: (tuning: Applied) => Partial<Applied>): Tuner => ({
    ...ia3,
    tune: (...given) => {
      const tuning = ia3.tune(...given) as Applied;
      return { ...tuning, ...change(tuning) };
    },
  });

  it.each<[string, Tuner, RegExp]>([
    ['merges another weight', changed(() => ({ weight: (g, weight) => g.Identity(weight) })), /^merged, logits/],
    ['is not the base when idle', changed(({ tensors }) => ({ tensors: { ia3_l: { ...tensors['ia3_l']!, identity: () => new Float32Array(6) } } })), /^without the adapter, logits/], // prettier-ignore
    ['hides its gradient', changed(({ apply }) => ({ apply: (g, layer, { ia3_l }) => apply(g, layer, { ia3_l: g.Mul(g.Add(ia3_l!, g.stopGradient(g.Identity(ia3_l!))), 0.5) }) })), /ia3_l/], // prettier-ignore
    ['reads a number of each row that it does not name', changed(() => ({ apply: (g, { x, forward, rowInput }) => g.Add(forward(x), g.Cast(rowInput('task_ids'), 1)) })), /The tuner "ia3" reads "task_ids" of each example, which it does not say\. Give rowInputs: \["task_ids"\] beside tune\.$/], // prettier-ignore
    ['has another setting', { ...ia3, tune: () => { throw new OnnxLoraError('CONFIG_INVALID', 'r must be more.'); } }, /^tune fails: r must be more/], // prettier-ignore
  ])('finds what %s', async (_, tuner, problem) => {
    const found = await checkTuner(tuner);
    expect(found.length).toBeGreaterThan(0);
    expect(found[0]).toMatch(problem);
  });

  it.each<[string, (tuning: Applied) => Partial<Applied>]>([
    ['init of "ia3_l"', ({ tensors }) => ({ tensors: { ia3_l: { ...tensors['ia3_l']!, init: fail } } })],
    ['identity of "ia3_l"', ({ tensors }) => ({ tensors: { ia3_l: { ...tensors['ia3_l']!, identity: fail } } })],
    ['apply', () => ({ apply: fail })],
    ['weight', () => ({ weight: fail })],
    ['bias', () => ({ bias: fail })],
    ['unmerged weight', () => ({ unmerged: { weight: fail } })],
  ])('says that %s throws', async (what, change) => {
    expect(await checkTuner(changed(change))).toEqual([`${what} fails: no.`]);
  });

  it('asks nothing of merging where the tuner does not merge', async () => {
    const unmerged = changed(({ tensors, apply }) => ({ tensors, apply, weight: undefined! }));
    expect(await checkTuner(unmerged)).toEqual([]);
  });
});

it('becomes LoRA by the command line', { timeout: 60_000 }, async () => {
  const file = path.join(cases, 'peft-loha/model.onnx');
  const [source, exact, near] = ['loha', 'exact', 'near'].map((name) => path.join(scratch, name)) as [string, string, string]; // prettier-ignore
  const adapter = await randomAdapter(await openModel(file, { plugins }), { lora: { tuner: { name: 'loha', r: 2 }, targetModules: ['up'] } }); // prettier-ignore
  await adapter.save(source);
  const plugin = ['--plugin', path.join(import.meta.dirname, '../packages/methods/src/plugin.ts')];
  const convert = (out: string, ...flags: string[]): ReturnType<typeof call> => call(['convert', source, out, ...plugin, ...flags]); // prettier-ignore
  // A product of two products of rank 2 has rank 4.
  expect(await convert(exact, '--plain-from', file, '--rank', '4', '--json')).toMatchObject({ code: 0 });
  const lora = await loadAdapter(exact);
  expect(lora.config).toMatchObject({ peftType: 'LORA', r: 4, loraAlpha: 4 });
  const base = await openModel(file, { plugins });
  expectSame(await logits(base, { lora }, 'lora'), await logits(base, { adapter }, 'adapter'));
  expect((await convert(near, '--plain-from', file, '--rank', '1')).stdout).toMatch(/parameters; of the change of "layers\.\d\.up" the rank leaves out [\d.]+%, of others less\.$/m); // prettier-ignore
  for (const [flags, message] of [
    [['--rank', '4'], '--rank is of use with --plain-from only'],
    [['--plain-from', exact], 'is an adapter. Name the base model.'],
    [['--plain-from', file, '--rank', '0'], 'rank r must be a whole number'],
  ] as const) {
    const out = path.join(scratch, 'refused');
    const { code, stderr } = await convert(out, ...flags);
    expect([code, stderr, existsSync(out)]).toEqual([2, expect.stringContaining(message), false]);
  }
  const plain = await call(['convert', exact, near, '--plain-from', file, '--rank', '4', '--overwrite']);
  expect([plain.code, plain.stderr]).toEqual([2, expect.stringContaining('one of LoRA keeps its own')]);
});

it('is trained, evaluated, listed and merged by the command line', { timeout: 60_000 }, async () => {
  const [published, log, out, merged] = ['forecaster', 'log.csv', 'run', 'merged-forecaster.onnx'].map((name) => path.join(scratch, name)) as [string, string, string, string]; // prettier-ignore
  await publishForecaster(published);
  await writeSensor(log, 12, 1);
  const examples = path.join(import.meta.dirname, '../docs/examples');
  const plugins = ['--plugin', path.join(examples, 'series/plugin.ts')];
  expect((await call(['plugins', ...plugins])).stdout).toMatch(/tuners +.*ia3/);
  const tuner = '{"name":"ia3","feedforward_modules":["encoder.1"]}';
  const trained = await call(['train', published, ...plugins, '--task', 'forecast', '--data', log, '--tuner', tuner, '--steps', '20', '--lr', '1e-2', '--out', out]); // prettier-ignore
  expect([trained.code, trained.stderr]).toEqual([0, expect.anything()]);
  const { config, tensors } = await loadAdapter(path.join(out, 'adapter'));
  expect(config).toMatchObject({ peftType: 'IA3', extra: { feedforward_modules: ['encoder.1'] } });
  expect([...tensors.values()].map(({ dims }) => dims)).toContainEqual([32, 1]);
  expect(readFileSync(path.join(out, 'config.yaml'), 'utf8')).not.toMatch(/^(r|alpha):/m);
  const resumed = await call(['train', ...plugins, '--resume', out]);
  expect(resumed.code).toBe(0);
  const evaluated = await call(['eval', published, ...plugins, '--task', 'forecast', '--data', log, '--adapter', out]); // prettier-ignore
  expect([evaluated.code, evaluated.stderr]).toEqual([0, expect.anything()]);
  expect((await call(['merge', published, ...plugins, '--adapter', out, '--out', merged])).code).toBe(0);
  const wrong = await call(['train', published, ...plugins, '--task', 'forecast', '--data', log, '--tuner', '{ia3', '--out', `${out}2`]); // prettier-ignore
  expect(wrong.stderr).toContain('--tuner must be a name, or JSON');
});
