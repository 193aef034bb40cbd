/** @file Initial values of tensors: a layer is then as it was, and what PEFT makes of its weight is made of it here. */

import path from 'node:path';
import { Adapter, loadAdapter, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { readSafetensors, Random } from '@onnx-lora/sdk/data';
import type { TensorNumbers, TargetLayer } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { methodsPlugin, tuners } from './plugin.ts';

const fixtures = path.join(import.meta.dirname, '../../../test/fixtures/cases');

interface Subject {
  readonly model: Model;
  readonly adapter: Adapter;
  readonly expected: ReadonlyMap<string, Tensor>;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly layers: readonly TargetLayer[];
  /** A layer's tensors, as PEFT's file calls them, and what they begin with. */
  readonly begin: (layer: TargetLayer) => Map<string, Tensor>;
}

async function subjectOf(name: string): Promise<Subject> {
  const folder = path.join(fixtures, name);
  const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
  const adapter = await loadAdapter(path.join(folder, 'adapter'));
  const { tensors: expected } = await readSafetensors(path.join(folder, 'expected.safetensors'));
  const { tensors: inputs } = await readSafetensors(path.join(folder, 'inputs.safetensors'));
  const names = new Set([...adapter.tensors.keys()].map((each) => each.replace('base_model.model.', '')));
  const layers = [...model.sitesByPath().values()]
    .filter((site) => [...names].some((each) => each.startsWith(`${site.path}.`)))
    .map(({ path: own, kind, weightShape, weight: { stored, layout }, bias }): TargetLayer => {
      const [out, width = 1] = weightShape;
      const weight = (): Float32Array => {
        const numbers = stored.read();
        if (kind !== 'linear' || layout !== 'in-out') return numbers.slice();
        return Float32Array.from(numbers, (_, i) => numbers[(i % width) * out! + Math.floor(i / width)]!);
      };
      const ownBias = (): Float32Array | undefined => bias?.stored.read();
      return { path: own, kind, in: width, out: out!, weightShape, bias: bias !== undefined, weight, ownBias };
    });
  const tuner = tuners.find(({ peftType }) => peftType === adapter.config.peftType)!;
  const settings = { ...tuner.defaults, ...adapter.config.extra };
  const begin = (layer: TargetLayer): Map<string, Tensor> => {
    const made = new Map<string, TensorNumbers>();
    const found = new Map<string, Tensor>();
    for (const [role, { dims, init: first, share, saved, role: use, integers }] of Object.entries(
      tuner.tune(layer, settings, layers).tensors,
    )) {
      // prettier-ignore
      const data = first(new Random(1), (other) => made.get(other)!);
      made.set(role, data);
      const tensor = { type: integers?.type ?? 'float32', dims, data } as Tensor;
      const group = typeof share === 'object' ? `base_model.${role}.${share.group}` : undefined;
      if (saved ?? use !== 'seeded') found.set(group ?? `base_model.model.${layer.path}.${role}`, tensor);
      else found.set(`${layer.path}.${role}`, tensor);
    }
    return found;
  };
  return {
    model,
    adapter,
    expected,
    feeds: Object.fromEntries([...inputs].filter(([each]) => each === 'x')),
    layers,
    begin,
  };
}

it.each([
  'oft',
  'oft-conv2d',
  'boft',
  'boft-conv2d',
  'hra',
  'hra-conv2d',
  'road',
  'beft',
  'glora',
  'deft',
  'deft-qr',
  'peanut',
  'osf',
  'psoft',
  'frod',
  'adamss',
])('%s begins as the base', async (name) => {
  const { model, adapter, layers, begin, feeds, expected } = await subjectOf(`peft-${name}`);
  const tensors = new Map(
    layers.flatMap((layer) => [...begin(layer)].filter(([each]) => each.startsWith('base_model.'))),
  );
  const session = await model.session({ adapters: { begun: new Adapter(adapter.config, tensors) }, threads: 1 });
  const [output] = Object.entries(await session.run(feeds, { adapter: 'begun' }));
  await session.release();
  const base = expected.get(`base.${output![0]}`)!.data as Float32Array;
  expect(base.length).toBeGreaterThan(5);
  base.forEach((each, i) => expect(Number(output![1].data[i])).toBeCloseTo(each, 4));
});

/** Rows of a matrix. */
function rowsOf({ dims: [rows, columns], data }: Tensor): number[][] {
  return Array.from({ length: rows! }, (_, row) =>
    Array.from(data as Float32Array).slice(row * columns!, (row + 1) * columns!),
  );
}

function columnsOf(matrix: Tensor): number[][] {
  const rows = rowsOf(matrix);
  return rows[0]!.map((_, column) => rows.map((row) => row[column]!));
}

/** Cosines between vectors of both: 1 or −1 where they are the same but for a sign. */
function cosines(one: readonly number[][], other: readonly number[][]): number[] {
  const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, each, i) => sum + each * b[i]!, 0);
  return one.map((a, i) => dot(a, other[i]!) / Math.sqrt(dot(a, a) * dot(other[i]!, other[i]!)));
}

function expectAlike(one: readonly number[][], other: readonly number[][], least = 0.9999): void {
  expect(one.length).toBe(other.length);
  for (const cosine of cosines(one, other)) expect(Math.abs(cosine)).toBeGreaterThan(least);
}

it("PSOFT's vectors are those of LAPACK, but for signs that both share", async () => {
  const { layers, begin, expected } = await subjectOf('peft-psoft');
  for (const layer of layers) {
    const begun = begin(layer);
    const own = ['_psoft_A_cache', '_psoft_B_cache'].map((each) =>
      begun.get(`base_model.model.${layer.path}.${each}`)!,
    );
    const derived = ['_psoft_A_cache', '_psoft_B_cache'].map((each) => expected.get(`derived.${layer.path}.${each}`)!);
    expectAlike(rowsOf(own[0]!), rowsOf(derived[0]!));
    const signs = cosines(rowsOf(own[0]!), rowsOf(derived[0]!));
    cosines(columnsOf(own[1]!), columnsOf(derived[1]!)).forEach((each, i) => expect(each).toBeCloseTo(signs[i]!, 3));
    const lengths = (matrix: Tensor): number[] => columnsOf(matrix).map((each) => Math.hypot(...each));
    lengths(own[1]!).forEach((each, i) => expect(each).toBeCloseTo(lengths(derived[1]!)[i]!, 4));
  }
});

it("AdaMSS's vectors are those of torch's seed", async () => {
  const { layers, begin, adapter } = await subjectOf('peft-adamss');
  for (const layer of layers) {
    const name = `base_model.model.${layer.path}.adamss_newB`;
    expectAlike(rowsOf(begin(layer).get(name)!), rowsOf(adapter.tensors.get(name)!));
  }
});

it("FRoD's basis is PEFT's but for signs, its directions with it, and its places are drawn as by torch", async () => {
  const { layers, begin, adapter, expected } = await subjectOf('peft-frod');
  // In the others, two weights of 16 rows in 24 dimensions, most vectors are free.
  for (const layer of layers.filter((each) => each.path.endsWith('up'))) {
    const begun = begin(layer);
    const bases = [begun, adapter.tensors].map((each) => columnsOf(each.get('base_model.frod_V.up')!));
    const directions = [begun.get(`${layer.path}.frod_U`)!, expected.get(`derived.${layer.path}.frod_U`)!].map(
      columnsOf,
    );
    // PEFT computes in float32, with eigenvalues that lie close together.
    expectAlike(bases[0]!, bases[1]!, 0.999);
    expectAlike(directions[0]!, directions[1]!, 0.999);
    const signs = cosines(bases[0]!, bases[1]!).map(Math.sign);
    expect(cosines(directions[0]!, directions[1]!).map(Math.sign)).toEqual(signs);
  }
  // The first kind by name, for which the generator is new.
  const places = begin(layers.find((each) => each.path.endsWith('down'))!).get('base_model.frod_s_indices.down')!;
  expect([...places.data]).toEqual([...adapter.tensors.get('base_model.frod_s_indices.down')!.data]);
});

it('OSF begins with the small singular values, of large matrices too', async () => {
  const osf = tuners.find(({ name }) => name === 'osf')!;
  const size = 140;
  const weight = new Float32Array(size * (size + 3)).map((_, i) => Math.sin(i * i * 0.7));
  const layer: TargetLayer = { path: 'a', kind: 'linear', in: size + 3, out: size, weightShape: [size, size + 3], bias: false, weight: () => weight, ownBias: () => undefined }; // prettier-ignore
  const { tensors } = osf.tune(layer, { ...osf.defaults, effective_rank: 100 }, [layer]);
  const [U, S, V] = ['U', 'S', 'V'].map((each) => tensors[`osf_svd_params.${each}_low`]!.init(new Random(1), () => weight) as Float32Array) as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
  expect([...S]).toEqual([...S].sort((a, b) => b - a));
  // W·v is σ·u, and vectors are of length 1.
  for (const k of [0, 17, 39]) {
    const v = V.subarray(k * (size + 3), (k + 1) * (size + 3));
    expect(Math.hypot(...v)).toBeCloseTo(1, 5);
    for (let o = 0; o < size; o += 13) {
      const product = v.reduce((sum, each, i) => sum + each * weight[o * (size + 3) + i]!, 0);
      expect(product).toBeCloseTo(S[k]! * U[o * 40 + k]!, 4);
    }
  }
});
