/** @file Adapters that come and go while a session runs, blends of several, and adapters that are loaded on demand. */

import {
  Adapter,
  type AdapterChoice,
  type AdapterSession,
  type Feeds,
  float32,
  int64,
  type BoundFeeds,
  merge,
  type Model,
  type ModelSessionOptions,
  openModel,
  OrtRuntime,
  type Runtime,
  type Tensor,
} from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { inferNode, type ModelProto, tensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { Random } from '@onnx-lora/sdk/data';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { adapterConfig } from '../packages/sdk/src/adapter/formats/peftConfig.ts';
import { convModel } from './fixtures/smallNets.ts';
import { difference, modelFrom } from './support/graphs.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-live-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function opened(name: string, proto: ModelProto): Promise<Model> {
  const file = path.join(folder, `${name}.onnx`);
  writeOnnx(file, proto);
  return openModel(file);
}

const net = await opened('convolutions', convModel());
const random = new Random(5);
function values(dims: readonly number[], from = -0.5, to = 0.5): Tensor {
  const size = dims.reduce((a, b) => a * b, 1);
  return float32(
    new Float32Array(size).map(() => random.uniform(from, to)),
    dims,
  );
}
const images: Feeds = { x: values([3, 4, 7, 7], -1, 1) };
const ids: Feeds = { ids: int64([1, 4, 4, 0, 10, 7], [2, 3]) };

/** Shapes of torch's weights. */
const shapes: Readonly<Record<string, readonly number[]>> = {
  stem: [8, 4, 3, 3],
  grouped: [8, 4, 3, 3],
  wide: [6, 8, 3],
  head: [3, 6],
  tokens: [11, 6],
};

/** A model of one layer. */
function layer(name: string, input: Value, emit: (g: GraphBuilder, x: Value, weight: Value) => Value): Promise<Model> {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
  const weight: Value = { name: `${name}.weight`, type: 'float32', shape: shapes[name]! };
  const model = modelFrom(g, [input], [emit(g, input, weight)]);
  const initializer = [...(model.graph!.initializer ?? []), tensorProto(weight.name, values(shapes[name]!))];
  return opened(name, { ...model, graph: { ...model.graph, initializer } });
}

const grouped = await layer('grouped', { name: 'x', type: 'float32', shape: ['batch', 8, 4, 4] }, (g, x, weight) =>
  g.emit('Conv', [x, weight], { group: 2, pads: [1, 1, 1, 1] }),
);
const table = await layer('tokens', { name: 'ids', type: 'int64', shape: ['batch', 'seq'] }, (g, x, weight) =>
  g.Gather(weight, x, 0),
);

interface Options {
  readonly r?: number;
  readonly alpha?: number;
  readonly dora?: boolean;
  readonly saved?: readonly string[];
}

function adapter(modules: readonly string[], { r = 2, alpha = 3, dora = false, saved = [] }: Options = {}): Adapter {
  const tensors = new Map<string, Tensor>();
  for (const module of modules) {
    const [out, width, ...kernel] = shapes[module]! as [number, number, ...number[]];
    const key = `base_model.model.${module}`;
    if (module === 'tokens') {
      tensors.set(`${key}.lora_embedding_A`, values([r, out]));
      tensors.set(`${key}.lora_embedding_B`, values([width, r]));
      continue;
    }
    const groups = module === 'grouped' ? 2 : 1;
    tensors.set(`${key}.lora_A.weight`, values([r, width * groups, ...kernel]));
    tensors.set(`${key}.lora_B.weight`, values([out, r / groups, ...kernel.map(() => 1)]));
    if (dora) tensors.set(`${key}.lora_magnitude_vector`, values([out], 1, 3));
  }
  for (const module of saved) {
    tensors.set(`base_model.model.${module}.weight`, values(shapes[module]!));
    tensors.set(`base_model.model.${module}.bias`, values([shapes[module]![0]!]));
  }
  const config = { targetModules: modules, modulesToSave: saved.length > 0 ? saved : null, useDora: dora };
  return new Adapter(adapterConfig({ r, loraAlpha: alpha, ...config }), tensors);
}

async function open(model: Model, options: ModelSessionOptions): Promise<AdapterSession> {
  const session = await model.session({ provider: 'cpu', ...options });
  onTestFinished(() => session.release());
  return session;
}

/** The output of a session that was made with these adapters alone. */
async function fresh(
  model: Model,
  feeds: Feeds,
  adapters: Record<string, Adapter>,
  choice: AdapterChoice,
): Promise<Tensor> {
  const session = await model.session({ provider: 'cpu', adapters, worker: false });
  try {
    return first(await session.run(feeds, { adapter: choice }));
  } finally {
    await session.release();
  }
}

function first(outputs: Record<string, Tensor>): Tensor {
  return Object.values(outputs)[0]!;
}

function numbers(tensor: Tensor): number[] {
  return Array.from(tensor.data as Float32Array);
}

describe('a session', () => {
  it('leaves the event loop free unless told otherwise', async () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'c/' });
    const x: Value = { name: 'x', type: 'float32', shape: ['n', 'n'] };
    let y = x;
    for (let i = 0; i < 20; i++) y = g.MatMul(y, x);
    const powers = await opened('powers', modelFrom(g, [x], [y]));
    const turnsDuringRun = async (options: ModelSessionOptions): Promise<number> => {
      const session = await open(powers, { threads: 1, ...options });
      let turns = 0;
      const count = (): void => {
        turns++;
        next = setImmediate(count);
      };
      let next = setImmediate(count);
      await session.run({ x: float32(new Float32Array(512 ** 2).fill(1 / 512), [512, 512]) });
      clearImmediate(next);
      return turns;
    };
    expect(await turnsDuringRun({})).toBeGreaterThan(100);
    expect(await turnsDuringRun({ worker: false })).toBeLessThan(10);
  });

  it('makes one bank of the adapters that meet in a batch, whatever their rows', async () => {
    const kept: number[] = [];
    const runtime: Runtime = {
      createSession: async (source, options) => {
        const session = await new OrtRuntime().createSession(source, options);
        const bind = (feeds: Feeds): BoundFeeds => {
          kept.push(feeds['head.lora_A.weight']!.dims[0]!);
          return session.bind!(feeds);
        };
        return {
          ...session,
          inputNames: session.inputNames,
          outputNames: session.outputNames,
          provider: session.provider,
          run: (...args) => session.run(...args),
          release: () => session.release(),
          bind,
        };
      },
    };
    const model = await openModel(net.file, { runtime });
    const adapters = { a: adapter(['head']), b: adapter(['head'], { r: 5 }), c: adapter(['head']) };
    const session = await open(model, { adapters });
    const batches = [
      ['a', 'b', 'a'],
      ['b', 'b', 'a'],
      ['c', 'a', null],
      [null, 'a', 'c'],
      // Both are in the bank before.
      ['c', 'a', 'c'],
    ];
    for (const rows of batches) {
      const mixed = numbers(first(await session.run(images, { adapter: rows })));
      for (const [row, name] of rows.entries()) {
        const alone = numbers(first(await session.run(images, { adapter: name })));
        alone.slice(3 * row, 3 * row + 3).forEach((value, i) => expect(mixed[3 * row + i]).toBeCloseTo(value, 5));
      }
    }
    // The base and the three adapters, alone; a and b; a, c and the base.
    expect(kept).toEqual([1, 1, 1, 1, 2, 3]);
  });
});

describe.each([true, false])('with worker: %s, adapters', (worker) => {
  it('are added, replaced and removed without a new session', async () => {
    const [a, b] = [adapter(['wide', 'head']), adapter(['stem', 'grouped'], { r: 4 })];
    const session = await open(net, { worker, targetModules: ['stem', 'grouped', 'wide', 'head'] });
    const base = first(await session.run(images));
    expect(difference(base, await fresh(net, images, {}, null))).toBeLessThan(1e-6);

    await session.add('one', a);
    await session.add('two', b);
    expect(session.adapterNames).toEqual(['one', 'two']);
    for (const [name, each] of Object.entries({ one: a, two: b })) {
      const expected = await fresh(net, images, { each }, 'each');
      expect(difference(first(await session.run(images, { adapter: name })), expected)).toBeLessThan(1e-6);
      expect(difference(base, expected)).toBeGreaterThan(0.01);
    }

    await session.replace('one', b);
    const replaced = first(await session.run(images, { adapter: 'one' }));
    expect(replaced).toEqual(first(await session.run(images, { adapter: 'two' })));

    expect(session.remove('one')).toBe(true);
    expect(session.remove('one')).toBe(false);
    await expect(session.run(images, { adapter: 'one' })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: expect.stringContaining('has no adapter "one"') as string,
    });
    expect(first(await session.run(images))).toEqual(base);
  });

  it('serve beside tensors that are handed over once, and give only the outputs that are asked for', async () => {
    const each = adapter(['wide', 'head']);
    const session = await open(net, { worker, adapters: { each } });
    const wanted = await session.run(images, { adapter: 'each' });
    const [name] = Object.keys(wanted);
    const bound = session.bind(images)!;
    const found = await session.run({}, { adapter: 'each', bound: [bound], fetches: [name!] });
    expect(found).toEqual({ [name!]: wanted[name!] });
    bound.release();
    await expect(session.run({}, { adapter: 'each' })).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  });

  it('that are replaced or removed finish the runs that were asked for', async () => {
    const [a, b] = [adapter(['head']), adapter(['head'])];
    const session = await open(net, { worker, adapters: { it: a, other: b } });
    const [ofA, ofB] = [await session.run(images, { adapter: 'it' }), await session.run(images, { adapter: 'other' })];
    const before = [session.run(images, { adapter: 'it' }), session.run(images, { adapter: 'it' })];
    await session.replace('it', b);
    const after = session.run(images, { adapter: 'it' });
    session.remove('it');
    for (const run of before) expect(await run).toEqual(ofA);
    expect(await after).toEqual(ofB);
  });

  it('never get into the runs of others, however they come and go', async () => {
    const versions = Array.from({ length: 4 }, (_, i) => adapter(['head'], { r: i + 1 }));
    const session = await open(net, { worker, targetModules: ['head'] });
    const expected: number[][] = [];
    for (const [i, each] of versions.entries()) {
      await session.add(`v${i}`, each);
      expected.push(numbers(first(await session.run(images, { adapter: `v${i}` }))));
    }
    await session.add('moving', versions[0]!);
    let now = 0;
    const runs: Promise<void>[] = [];
    for (let i = 0; i < 60; i++) {
      const rows = Array.from({ length: 3 }, () => (random.uniform(0, 1) < 0.5 ? 'moving' : `v${random.index(4)}`));
      const wanted = rows.flatMap((name, row) => {
        const version = name === 'moving' ? now : Number(name.slice(1));
        return expected[version]!.slice(3 * row, 3 * row + 3);
      });
      runs.push(
        session.run(images, { adapter: rows }).then((outputs) => {
          numbers(first(outputs)).forEach((value, j) => expect(value).toBeCloseTo(wanted[j]!, 4));
        }),
      );
      if (i % 3 === 0) {
        const next = random.index(4);
        await session.replace('moving', versions[next]!);
        now = next;
      }
    }
    await Promise.all(runs);
  });
});

describe('places', () => {
  it('that are missing are named, with what reserves them', async () => {
    const session = await open(net, { targetModules: ['wide'] });
    const message = (missing: string, option: string): string =>
      `The session's graph has no place for what "it" adapts: ${missing}. Places are decided when the session is made: reserve places for it (such as ${option}), or give the adapter to model.session among its adapters.`;
    await expect(session.add('it', adapter(['wide', 'head']))).rejects.toMatchObject({
      code: 'ADAPTER_MISMATCH',
      message: message('head', 'targetModules: ["head"]'),
    });
    await expect(session.add('it', adapter(['wide'], { saved: ['head'] }))).rejects.toThrow(
      message('head.weight, head.bias', 'modulesToSave: ["head"]'),
    );
    const plain = await open(net, { targetModules: ['head'] });
    await expect(plain.add('it', adapter(['head'], { dora: true }))).rejects.toThrow(message('head (DoRA)', 'useDora: true')); // prettier-ignore
    expect(session.adapterNames).toEqual([]);
  });

  it('can be reserved for DoRA and for whole modules', async () => {
    const session = await open(net, { targetModules: ['wide', 'head'], useDora: true });
    const whole = await open(net, { targetModules: ['wide'], modulesToSave: ['head'] });
    for (const [own, each] of [
      [session, adapter(['head'], { dora: true })],
      [session, adapter(['wide'])],
      [whole, adapter(['wide'], { saved: ['head'] })],
    ] as const) {
      await own.add('it', each);
      const expected = await fresh(net, images, { each }, 'each');
      expect(difference(first(await own.run(images, { adapter: 'it' })), expected)).toBeLessThan(1e-6);
      own.remove('it');
    }
  });

  it('of targets that match nothing are refused', async () => {
    await expect(net.session({ targetModules: ['haed'] })).rejects.toMatchObject({ code: 'TARGET_NOT_FOUND' });
  });

  it('all-linear stands for every linear layer', async () => {
    const session = await open(net, { targetModules: 'all-linear' });
    await session.add('it', adapter(['head']));
    await expect(session.add('other', adapter(['wide']))).rejects.toMatchObject({ code: 'ADAPTER_MISMATCH' });
  });

  it('a name is given once', async () => {
    const session = await open(net, { adapters: { it: adapter(['head']) } });
    await expect(session.add('it', adapter(['head']))).rejects.toMatchObject({ code: 'INPUT_INVALID' });
    await expect(session.replace('ti', adapter(['head']))).rejects.toThrow('has no adapter "ti". Did you mean "it"');
  });
});

describe('a blend', () => {
  /** The base with W + w·s·B·A of one adapter, in a file. */
  async function merged(model: Model, each: Adapter, weight: number, name: string): Promise<Model> {
    const scaled = new Adapter({ ...each.config, loraAlpha: each.config.loraAlpha * weight }, each.tensors);
    const file = path.join(folder, `${name}.onnx`);
    await merge(model, scaled, file);
    return openModel(file);
  }

  it('is W + Σ w·s·B·A in every layer', async () => {
    const [a, b] = [adapter(['stem', 'wide', 'head'], { r: 4 }), adapter(['wide', 'head'], { r: 2, alpha: 5 })];
    const session = await open(net, { adapters: { a, b } });
    const blended = first(await session.run(images, { adapter: { a: 0.7, b: -0.3 } }));
    const both = await merged(await merged(net, a, 0.7, 'a'), b, -0.3, 'ab');
    expect(difference(blended, await fresh(both, images, {}, null))).toBeLessThan(1e-5);
    expect(difference(blended, await fresh(net, images, { a }, 'a'))).toBeGreaterThan(0.01);
  });

  it.each<[string, Model, Feeds, string, Options, Options]>([
    ['a grouped convolution', grouped, { x: values([2, 8, 4, 4], -1, 1) }, 'grouped', { r: 4 }, { r: 2, alpha: 5 }],
    ['an embedding', table, ids, 'tokens', { r: 3 }, { r: 1, alpha: 5 }],
    // One layer alone: its outputs move as its weights do.
  ])('of adapters of %s adds what each changes', async (_, model, feeds, module, optionsOfA, optionsOfB) => {
    const adapters = { a: adapter([module], optionsOfA), b: adapter([module], optionsOfB) };
    const session = await open(model, { adapters });
    const run = async (choice: AdapterChoice): Promise<number[]> =>
      numbers(first(await session.run(feeds, { adapter: choice })));
    const [base, ofA, ofB] = [await run(null), await run('a'), await run('b')];
    const expected = base.map((value, i) => value + 0.7 * (ofA[i]! - value) - 0.3 * (ofB[i]! - value));
    (await run({ a: 0.7, b: -0.3 })).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    expect(Math.max(...expected.map((value, i) => Math.abs(value - base[i]!)))).toBeGreaterThan(0.1);
  });

  it.each<[string, Options]>([
    ['DoRA', { dora: true }],
    ['a module trained in full', { saved: ['head'] }],
  ])('moves the base by the weighted change of %s', async (_, options) => {
    // Behind wide everything is linear, so outputs move as weights do; head.bias too.
    const modules = options.saved ? [] : ['head'];
    const a = adapter(modules, options);
    // Two that have trained a module in full have no blend: test/newHeads.test.ts.
    const b = options.saved ? a : adapter(['head']);
    const session = await open(net, { adapters: { a, b } });
    const run = async (choice: AdapterChoice): Promise<number[]> =>
      numbers(first(await session.run(images, { adapter: choice })));
    const [base, ofA, ofB] = [await run(null), await run('a'), await run('b')];
    const weightOfB = options.saved ? 0 : 0.3;
    const blended = await run({ a: 0.7, ...(weightOfB && { b: weightOfB }) });
    blended.forEach((value, i) => expect(value).toBeCloseTo(base[i]! + 0.7 * (ofA[i]! - base[i]!) + weightOfB * (ofB[i]! - base[i]!), 4)); // prettier-ignore
    expect(await run({ a: 1 })).toEqual(ofA.map((value) => expect.closeTo(value, 5) as number));
    expect(await run({ a: 0, ...(weightOfB && { b: 0 }) })).toEqual(
      base.map((value) => expect.closeTo(value, 5) as number),
    );
    expect(await run({})).toEqual(base);
  });

  it('can be the adapter of a row', async () => {
    const [a, b] = [adapter(['head']), adapter(['head'], { r: 3 })];
    const session = await open(net, { adapters: { a, b } });
    const blend = { a: 0.5, b: 2 };
    const rows = numbers(first(await session.run(images, { adapter: [blend, null, 'b'] })));
    const whole = [blend, null, 'b'].map((choice) => session.run(images, { adapter: choice }));
    for (const [row, outputs] of whole.entries()) {
      const own = numbers(first(await outputs)).slice(3 * row, 3 * row + 3);
      own.forEach((value, i) => expect(rows[3 * row + i]).toBeCloseTo(value, 5));
    }
  });

  it('follows when an adapter is replaced', async () => {
    const [a, b] = [adapter(['head']), adapter(['head'])];
    const session = await open(net, { adapters: { a, b } });
    const before = await session.run(images, { adapter: { a: 1, b: 1 } });
    expect(await session.run(images, { adapter: { b: 1, a: 1 } })).toEqual(before);
    await session.replace('a', b);
    const twice = first(await session.run(images, { adapter: { b: 2 } }));
    expect(difference(first(await session.run(images, { adapter: { a: 1, b: 1 } })), twice)).toBeLessThan(1e-5);
  });

  it.each([NaN, Infinity, '1'])('with the weight %s is refused', async (weight) => {
    const session = await open(net, { adapters: { a: adapter(['head']) } });
    await expect(session.run(images, { adapter: { a: weight as number } })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: `The weight of the adapter "a" must be a finite number, but it is ${weight}.`,
    });
  });
});

describe('a source of adapters', () => {
  it('is asked once for a name, and the least recently used gives way', async () => {
    const asked: string[] = [];
    const stored = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, adapter(['head'])]));
    const session = await open(net, {
      targetModules: ['head'],
      adapters: { own: adapter(['head']) },
      adapterSource: {
        load: (name) => {
          asked.push(name);
          return stored[name] ? Promise.resolve(stored[name]) : Promise.reject(new Error(`there is no ${name}`));
        },
        maxAdapters: 2,
      },
    });
    const run = async (adapter: AdapterChoice): Promise<Tensor> => first(await session.run(images, { adapter }));
    const [once, again] = await Promise.all([run('a'), run('a')]);
    expect(once).toEqual(again);
    expect(difference(once, await fresh(net, images, { a: stored['a']! }, 'a'))).toBeLessThan(1e-6);
    await run('b');
    await run('a');
    await run('c');
    expect(asked).toEqual(['a', 'b', 'c']);
    expect(session.adapterNames).toEqual(['own', 'a', 'c']);
    // More than fit at once are held together for their run.
    await run(['a', 'b', 'c']);
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
    await run('own');
    await expect(run('d')).rejects.toThrow('there is no d');
  });

  it('is limited in bytes', async () => {
    const one = adapter(['head']);
    const session = await open(net, {
      targetModules: ['head'],
      adapterSource: { load: () => Promise.resolve(one), maxBytes: 2 * one.byteLength },
    });
    for (const name of ['a', 'b', 'c']) await session.run(images, { adapter: name });
    expect(session.adapterNames).toEqual(['b', 'c']);
  });
});
