/** @file Tests of converting between PEFT's adapters and `.onnx_adapter`, against numbers worked out by hand. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { caseFolders } from '../../../../../test/support/caseFolders.ts';
import { openOnnx } from '../../graph/file/onnxFile.ts';
import { injectAdapters } from '../../lora/inject.ts';
import { findSites } from '../../match/sites.ts';
import { prepareForMatching } from '../../match/view.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { float32, type Tensor, tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { fromOrtAdapter, saveOnnxAdapter, toOrtAdapter } from './convert.ts';
import { adapterFeeds } from '../serving/feeds.ts';
import { formatOrtAdapter, parseOrtAdapter } from '../formats/ortAdapter.ts';
import { type AdapterConfig, parseAdapterConfig } from '../formats/peftConfig.ts';
import { scalingOf } from '../formats/scaling.ts';
import { joinModules } from '../serving/slots.ts';
import { placeAdapter } from '../naming/place.ts';
import { readAdapter } from './readAdapter.ts';
import { tensorName, type TensorRole } from '../formats/tensorNames.ts';

const ortFiles = path.join(import.meta.dirname, '../../../fixtures/adapters/ort');

function config(fields: Record<string, unknown>): AdapterConfig {
  return parseAdapterConfig({ peft_type: 'LORA', ...fields }, 'test');
}

function pair(module: string, A: Tensor, B: Tensor): [string, Tensor][] {
  return [
    [tensorName(module, 'lora_A'), A],
    [tensorName(module, 'lora_B'), B],
  ];
}

/** r 2, 3 in, 2 out. */
const A = float32([1, 2, 3, 4, 5, 6], [2, 3]);
const B = float32([1, -1, 0.5, 2], [2, 2]);

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-convert-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Adapters of every kind of tensor that an .onnx_adapter holds. */
const anyAdapter = fc
  .record({
    modules: fc.array(
      fc.record({
        kind: fc.constantFrom('linear', 'conv', 'embedding', 'head', 'norm'),
        r: fc.integer({ min: 1, max: 4 }),
        width: fc.integer({ min: 1, max: 5 }),
        baseBias: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    // One choice for all modules, like PEFT's switches.
    magnitude: fc.boolean(),
    bias: fc.boolean(),
    alpha: fc.float({ min: Math.fround(0.1), max: 64, noNaN: true }),
    rslora: fc.boolean(),
  })
  .map(({ modules, magnitude, bias, alpha, rslora }) => {
    let count = 0;
    const values = (...dims: number[]): Tensor => {
      const size = dims.reduce((product, dim) => product * dim, 1);
      return float32(Float32Array.from({ length: size }, () => Math.sin(count++)), dims); // prettier-ignore
    };
    const tensors = modules.flatMap(({ kind, r, width, baseBias }, i): [string, Tensor][] => {
      const module = `layer.${i}.${kind}`;
      const named = (role: TensorRole, ...dims: number[]): [string, Tensor] => [
        tensorName(module, role),
        values(...dims),
      ];
      if (kind === 'head')
        return [named('parameter', width, r), [tensorName(module, 'parameter', 'bias'), values(width)]];
      if (kind === 'norm') return [[tensorName(module, 'parameter', 'bias'), values(width)]];
      const kernel = kind === 'conv' ? [3, 2] : [];
      const ones = kernel.map(() => 1);
      const factors =
        kind === 'embedding'
          ? [named('lora_embedding_A', r, width), named('lora_embedding_B', width + 1, r)]
          : [named('lora_A', r, width, ...kernel), named('lora_B', width + 1, r, ...ones)];
      return [
        ...factors,
        ...(magnitude ? [named('lora_magnitude_vector', ...(kind === 'conv' ? [1] : []), width + 1, ...ones)] : []),
        ...(bias && kind !== 'embedding' ? [named('lora_B.bias', width + 1)] : []),
        ...(baseBias ? [named('base_layer.bias', width + 1)] : []),
      ];
    });
    return new Adapter(config({ r: 2, lora_alpha: alpha, use_rslora: rslora }), new Map(tensors));
  });

/** Cases that convert: LoRA without settings that only the config holds. */
const convertible = caseFolders().filter(
  ([name]) => !/^peft-|^methods-|target-parameters|trainable-tokens|bdlora|kasa|monteclora/.test(name),
);

/** Feeds of an adapter for the model of a case. */
function feedsFor(folder: string, adapter: Adapter): ReadonlyMap<string, Tensor> {
  const model = prepareForMatching(openOnnx(path.join(folder, 'model.onnx')).model);
  const types = inferGraph(model);
  const sites = findSites(model.graph, { typeOf: (value) => types.get(value) });
  const placed = placeAdapter(adapter, model.graph, sites, 'model');
  const { inputs } = injectAdapters(model, joinModules(placed.tunings.map(({ tuning }) => tuning)), {
    types,
    mode: 'inference',
  });
  return new Map(adapterFeeds(placed, inputs));
}

describe('toOrtAdapter', () => {
  it('transposes both factors and puts the scaling into B', () => {
    const adapter = new Adapter(config({ r: 2, lora_alpha: 6 }), new Map(pair('a.q', A, B)));
    expect([...toOrtAdapter(adapter)]).toEqual([
      ['a.q.lora_A.weight', float32([1, 4, 2, 5, 3, 6], [3, 2])],
      // alpha / r = 3
      ['a.q.lora_B.weight', float32([3, 1.5, -3, 6], [2, 2])],
    ]);
  });

  it('takes the scaling of each module, also with rsLoRA', () => {
    const fields = { r: 2, lora_alpha: 2, alpha_pattern: { q: 8 }, use_rslora: true };
    const tensors = new Map([...pair('a.q', A, B), ...pair('a.v', A, B)]);
    const result = toOrtAdapter(new Adapter(config(fields), tensors));
    expect(result.get('a.q.lora_B.weight')!.data[0]).toBeCloseTo(8 / Math.SQRT2, 6);
    expect(result.get('a.v.lora_B.weight')!.data[0]).toBeCloseTo(2 / Math.SQRT2, 6);
  });

  it('reads half precision', () => {
    const half = tensor('float16', Uint16Array.of(0x3c00, 0xc000), [1, 2]);
    const adapter = new Adapter(config({ r: 1, lora_alpha: 1 }), new Map(pair('q', half, float32([4], [1, 1]))));
    expect(toOrtAdapter(adapter).get('q.lora_A.weight')).toEqual(float32([1, -2], [2, 1]));
  });

  it('lays embeddings out as the graph takes them: A has a row for each id', () => {
    const tensors = new Map([
      [tensorName('e', 'lora_embedding_A'), A],
      [tensorName('e', 'lora_embedding_B'), B],
    ]);
    expect([...toOrtAdapter(new Adapter(config({ r: 2, lora_alpha: 6 }), tensors))]).toEqual([
      ['e.lora_embedding_A', float32([1, 4, 2, 5, 3, 6], [3, 2])],
      ['e.lora_embedding_B', float32([3, 1.5, -3, 6], [2, 2])],
    ]);
  });

  it('keeps the layout of convolutions, and scales B', () => {
    const first = float32([1, 2, 3, 4], [1, 1, 2, 2]);
    const conv = new Map(pair('c', first, float32([1, -2], [2, 1, 1, 1])));
    expect([...toOrtAdapter(new Adapter(config({ r: 1, lora_alpha: 4 }), conv))]).toEqual([
      ['c.lora_A.weight', first],
      ['c.lora_B.weight', float32([4, -8], [2, 1, 1, 1])],
    ]);
  });

  it("keeps DoRA's magnitude, and scales the bias of B", () => {
    const tensors = new Map([
      ...pair('q', A, B),
      [tensorName('q', 'lora_magnitude_vector'), float32([7, 8], [2])] as const,
      [tensorName('q', 'lora_B.bias'), float32([1, 2], [2])] as const,
    ]);
    const result = toOrtAdapter(new Adapter(config({ r: 2, lora_alpha: 6 }), tensors));
    expect(result.get('q.lora_magnitude_vector')).toEqual(float32([7, 8], [2]));
    expect(result.get('q.lora_B.bias')).toEqual(float32([3, 6], [2]));
  });

  it("keeps PEFT's names of parameters trained in full, and leaves copies of the base out", () => {
    const head = tensor('float16', Uint16Array.of(0x3c00, 0xc000), [1, 2]);
    const tensors = new Map([
      ...pair('q', A, B),
      [tensorName('head', 'parameter'), head] as const,
      [tensorName('q', 'base_layer.bias'), float32([1, 2], [2])] as const,
      [tensorName('q', 'base_layer.weight'), float32([1, 2, 3, 4, 5, 6], [2, 3])] as const,
    ]);
    const result = toOrtAdapter(new Adapter(config({ r: 2 }), tensors));
    expect([...result.keys()]).toEqual([
      'q.lora_A.weight',
      'q.lora_B.weight',
      'base_model.model.head.weight',
      'base_model.model.q.base_layer.bias',
    ]);
    expect(result.get('base_model.model.head.weight')).toEqual(head);
  });

  it.each([
    ['trained tokens', 'trainable_tokens_delta', {}, 'a set of trained token embeddings'],
    ['single numbers', 'parameter', {}, 'a single number'],
    ['half a pair', 'lora_embedding_A', {}, 'lora_embedding_B is missing'],
    ['trained rows', undefined, { trainable_token_indices: [3] }, 'trained token embeddings (trainable_token_indices)'],
    ['adapted parameters', undefined, { target_parameters: ['w'] }, 'adapted parameters (target_parameters)'],
    [
      'another base',
      undefined,
      { init_lora_weights: 'pissa_niter_4' },
      'counts from a base that its initialisation "pissa_niter_4" has changed',
    ],
    ['variants', undefined, { use_qalora: true }, 'a variant of LoRA that the config names (use_qalora)'],
  ] as const)('refuses %s', (_, role, fields, words) => {
    const other = role && ([tensorName('e', role), float32([1], [])] as const);
    const tensors = new Map([...pair('q', A, B), ...(other ? [other] : [])]);
    expect(() => toOrtAdapter(new Adapter(config({ r: 2, ...fields }), tensors))).toThrow(words);
  });
});

describe('fromOrtAdapter', () => {
  it('gives PEFT a scaling of 1 and full paths', () => {
    const adapter = fromOrtAdapter(
      new Map([
        ['a.q.lora_A.weight', float32([1, 4, 2, 5, 3, 6], [3, 2])],
        ['a.q.lora_B.weight', float32([3, 1.5, -3, 6], [2, 2])],
      ]),
    );
    expect(adapter.config).toMatchObject({ r: 2, loraAlpha: 2, targetModules: ['a.q'], rankPattern: {} });
    expect([...adapter.tensors]).toEqual(pair('a.q', A, float32([3, -3, 1.5, 6], [2, 2])));
  });

  it('keeps each rank where one path is the end of another', () => {
    const factors = (path: string, r: number): [string, Tensor][] => [
      [`${path}.lora_A.weight`, float32(new Float32Array(r), [1, r])],
      [`${path}.lora_B.weight`, float32(new Float32Array(r), [r, 1])],
    ];
    const { config: found } = fromOrtAdapter(
      new Map([...factors('b.q', 1), ...factors('a.b.q', 2), ...factors('q', 3)]),
    );
    for (const [path, r] of [
      ['q', 3],
      ['b.q', 1],
      ['a.b.q', 2],
    ] as const) {
      expect(scalingOf(found, path)).toEqual({ r, alpha: r, scaling: 1 });
    }
  });

  it('reads what ONNX Runtime wrote without ".weight" in the names', () => {
    const file = 'b.onnx-layout.onnx_adapter';
    const adapter = fromOrtAdapter(parseOrtAdapter(readFileSync(path.join(ortFiles, file)), file), file);
    expect(adapter.config).toMatchObject({ r: 4, targetModules: ['fc1', 'fc2'] });
    expect(adapter.tensors.get('base_model.model.fc1.lora_A.weight')!.dims).toEqual([4, 24]);
  });

  it('says in the config what else the tensors are', () => {
    const { config: found } = fromOrtAdapter(
      new Map([
        ['q.lora_A.weight', float32([1, 4, 2, 5, 3, 6], [3, 2])],
        ['q.lora_B.weight', float32([3, 1.5, -3, 6], [2, 2])],
        ['q.lora_B.bias', float32([1, 2], [2])],
        ['q.lora_magnitude_vector', float32([7, 8], [2])],
        ['e.lora_embedding_A', float32([1, 2], [1, 2])],
        ['e.lora_embedding_B', float32([1, 2, 3, 4], [2, 2])],
        ['base_model.model.head.weight', float32([1], [1, 1])],
        ['base_model.model.head.bias', float32([1], [1])],
        ['base_model.model.q.base_layer.bias', float32([1, 2], [2])],
      ]),
    );
    expect(found).toMatchObject({
      targetModules: ['q', 'e'],
      modulesToSave: ['head'],
      bias: 'lora_only',
      loraBias: true,
      useDora: true,
    });
  });

  it.each([
    ['factors under PEFT names', 'base_model.model.q.lora_A.weight', 'so that its scaling is unknown'],
    ['other names', 'bias', 'only tensors of low-rank adapters'],
    ['half a pair', 'q.lora_A.weight', 'lora_B is missing'],
  ])('refuses %s', (_, name, words) => {
    expect(() => fromOrtAdapter(new Map([[name, float32([1, 2], [1, 2])]]), 'x.onnx_adapter')).toThrow(words);
  });

  it('refuses ranks that differ, and an empty file', () => {
    const tensors = new Map([
      ['q.lora_A.weight', float32([1, 2], [1, 2])],
      ['q.lora_B.weight', float32([1, 2, 3], [3, 1])],
    ]);
    expect(() => fromOrtAdapter(tensors)).toThrow(
      '[2, 1] and its lora_B [1, 3] as PEFT lays them out, and their ranks differ',
    );
    expect(() => fromOrtAdapter(new Map())).toThrow('holds no tensors');
  });
});

describe('files', () => {
  it('come back the same to the last bit, whatever they hold', async () => {
    const folder = temporaryFolder();
    const [file, again] = ['a.onnx_adapter', 'b.onnx_adapter'].map((name) => path.join(folder, name)) as [
      string,
      string,
    ];
    const overwrite = { overwrite: true };
    await fc.assert(
      fc.asyncProperty(anyAdapter, async (adapter) => {
        await saveOnnxAdapter(adapter, file, overwrite);
        const read = await readAdapter(file);
        // Fed tensors are what a run depends on.
        expect(toOrtAdapter(read)).toEqual(toOrtAdapter(adapter));
        // By way of a PEFT folder, too.
        await read.save(path.join(folder, 'peft'), overwrite);
        await saveOnnxAdapter(await readAdapter(path.join(folder, 'peft')), again, overwrite);
        expect(parseOrtAdapter(readFileSync(again), again)).toEqual(parseOrtAdapter(readFileSync(file), file));
        // A PEFT folder has an order of its own; from there on every file is the same.
        await (await readAdapter(again)).save(path.join(folder, 'peft'), overwrite);
        await saveOnnxAdapter(await readAdapter(path.join(folder, 'peft')), file, overwrite);
        expect(readFileSync(file).equals(readFileSync(again))).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it.each(convertible)('feed a model as the PEFT folder does: %s', async (_, folder) => {
    const adapter = await readAdapter(path.join(folder, 'adapter'));
    const file = path.join(temporaryFolder(), 'a.onnx_adapter');
    await saveOnnxAdapter(adapter, file);
    const [fromFile, fromFolder] = [await readAdapter(file), adapter].map((each) => feedsFor(folder, each));
    expect([...fromFile!.keys()]).toEqual([...fromFolder!.keys()]);
    for (const [name, { dims, data }] of fromFolder!) {
      const found = fromFile!.get(name)!;
      expect(found.dims).toEqual(dims);
      // DoRA's gains are computed from factors that were rounded before or after they were scaled.
      const furthest = (data as Float32Array).reduce((most, value, i) => Math.max(most, Math.abs(value - Number(found.data[i]))), 0); // prettier-ignore
      expect(furthest).toBeLessThan(1e-6);
    }
  });

  it('are kept by default, and replaced on request, as merge does', async () => {
    const at = temporaryFolder();
    const [file, folder] = [path.join(at, 'a.onnx_adapter'), path.join(at, 'peft')] as const;
    const [old, other] = [pair('q', A, B), pair('k', A, B)].map((tensors) => new Adapter(config({ r: 2, target_modules: ['q', 'k'] }), new Map(tensors))) as [Adapter, Adapter]; // prettier-ignore
    const writers = [
      [file, (each: Adapter, options?: { overwrite: true }) => saveOnnxAdapter(each, file, options)],
      [folder, (each: Adapter, options?: { overwrite: true }) => each.save(folder, options)],
    ] as const;
    for (const [place, write] of writers) {
      await write(old);
      const before = await readAdapter(place);
      await expect(write(other)).rejects.toMatchObject({
        code: 'FILE_INVALID',
        message: expect.stringMatching(/is there already\. Name another place, or replace it \(overwrite: true/), // prettier-ignore
      });
      expect(await readAdapter(place)).toEqual(before);
      await write(other, { overwrite: true });
      expect([...(await readAdapter(place)).tensors.keys()]).toEqual([...other.tensors.keys()]);
    }
    // Weights alone are an adapter's, too.
    rmSync(path.join(folder, 'adapter_config.json'));
    await expect(other.save(folder)).rejects.toThrow('adapter_model.safetensors" is there');
    await other.save(path.join(at, 'new'));
  });

  it('leave nothing behind when the adapter cannot be converted', async () => {
    const file = path.join(temporaryFolder(), 'a.onnx_adapter');
    const adapter = new Adapter(config({ r: 2, target_parameters: ['w'] }), new Map(pair('q', A, B)));
    await expect(saveOnnxAdapter(adapter, file)).rejects.toThrow('adapted parameters (target_parameters)');
    expect(existsSync(file)).toBe(false);
  });

  it('of other kinds are refused by name', async () => {
    const file = path.join(temporaryFolder(), 'adapter.bin');
    writeFileSync(file, formatOrtAdapter(new Map()));
    await expect(readAdapter(file)).rejects.toThrow('a file that ends in .onnx_adapter');
  });
});
