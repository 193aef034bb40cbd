/** @file Several adapters on layers of all kinds, and of several tuners, against PEFT: alone, combined, active together, and one for each row. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Adapter, type AdapterChoice, combineAdapters, type CombineOptions, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk'; // prettier-ignore
import { methodsPlugin } from '@onnx-lora/methods';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const folder = path.join(import.meta.dirname, 'fixtures/compose2');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-compose-'));
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

interface Combination {
  readonly adapters: readonly string[];
  readonly weights: readonly number[];
  readonly combination_type: CombineOptions['method'];
  readonly density?: number;
  readonly svd_rank?: number;
  readonly majority_sign_method?: 'total' | 'frequency';
  readonly error?: string;
}
const cases = JSON.parse(readFileSync(path.join(folder, 'compose.json'), 'utf8')) as {
  combinations: Record<string, Combination>;
  together: Record<string, { adapters: readonly string[] }>;
  mixed: Record<string, { adapter_names: readonly string[]; error?: string }>;
};

let model: Model;
let ids: Tensor;
const adapters: Record<string, Adapter> = {};
const expected: Record<string, ReadonlyMap<string, Tensor>> = {};

beforeAll(async () => {
  model = await openModel(path.join(folder, 'model.onnx'));
  for (const name of ['a', 'b', 'c', 'dora', 'h0', 'h1', 'p', 'pat', 'q', 'rs', 's'])
    adapters[name] = await loadAdapter(path.join(folder, 'adapters', name));
  for (const file of ['base', 'single', 'combined', 'together', 'mixed'])
    expected[file] = (await readSafetensors(path.join(folder, `${file}.safetensors`))).tensors;
  ids = expected['base']!.get('ids')!;
});

async function run(
  choice: AdapterChoice,
  own: Record<string, Adapter> = adapters,
  from: Model = model,
  input: Tensor = ids,
): Promise<Tensor> {
  const session = await from.session({ adapters: own, threads: 1 });
  try {
    return Object.values(await session.run({ [Object.keys(from.inputs)[0]!]: input }, { adapter: choice }))[0]!;
  } finally {
    await session.release();
  }
}

function expectSame(found: Tensor, wanted: Tensor | undefined): void {
  expect(found.dims).toEqual(wanted!.dims);
  (wanted!.data as Float32Array).forEach((value, i) => {
    expect(found.data[i]).toBeCloseTo(value, 4);
  });
}

const picked = (...names: string[]): Record<string, Adapter> => Object.fromEntries(names.map((name) => [name, adapters[name]!])); // prettier-ignore

it.each(['a', 'b', 'c', 'dora', 'p', 'pat', 'q', 'rs'])('%s alone', async (name) => {
  expectSame(await run(name, picked(name)), expected['single']!.get(`${name}.y`));
});

describe('combined', () => {
  const possible = Object.entries(cases.combinations).filter(([name, { error, combination_type: type }]) => error === undefined && !name.startsWith('dora') && !type.startsWith('dare')); // prettier-ignore

  it.each(possible)(
    '%s',
    async (
      name,
      { adapters: names, weights, combination_type: method, density, svd_rank, majority_sign_method: sign },
    ) => {
      // prettier-ignore
      const rank = svd_rank ?? (method.endsWith('svd') ? Math.max(...names.map((each) => adapters[each]!.config.r)) : undefined); // prettier-ignore
      const combined = combineAdapters(
        names.map((each, i) => ({ adapter: adapters[each]!, weight: weights[i]!, name: each })),
        {
          method,
          compat: 'peft',
          ...(density === undefined ? {} : { density }),
          ...(rank === undefined ? {} : { rank }),
          ...(sign === undefined ? {} : { majoritySign: sign }),
        },
      );
      expectSame(await run('combined', { combined }), expected['combined']!.get(`${name}.y`));
    },
  );

  it('are refused where a magnitude would be lost, as it is in PEFT', () => {
    expect(() => combineAdapters([{ adapter: adapters['dora']!, weight: 1 }], { method: 'linear' })).toThrow(/DoRA/);
  });

  it('of convolutions with several taps, which PEFT cannot combine, are the weighted sum', async () => {
    const parts = [['a', 0.7], ['b', 0.4], ['c', 0.5]] as const; // prettier-ignore
    const sum = combineAdapters(parts.map(([name, weight]) => ({ adapter: adapters[name]!, weight })), { method: 'svd', rank: 'full' }); // prettier-ignore
    expectSame(await run('sum', { sum }), expected['combined']!.get('cat-ranks.y'));
  });
});

describe('together', () => {
  it.each(['a+b', 'a+c+rs'])('%s', async (name) => {
    const names = cases.together[name]!.adapters;
    const blend = Object.fromEntries(names.map((each) => [each, 1]));
    expectSame(await run(blend, picked(...names)), expected['together']!.get(`${name}.y`));
  });

  // On a base that has others merged, DoRA holds the norms of all; PEFT's magnitudes divide by norms without them.
  it.each(['a+b', 'a+c+rs', 'dora+a'])('%s merged one after the other', async (name) => {
    let merged = model;
    for (const [i, each] of cases.together[name]!.adapters.entries()) {
      const file = path.join(scratch, `${name}-${i}.onnx`);
      await merge(merged, adapters[each]!, file, { allowBaseMismatch: true });
      merged = await openModel(file);
    }
    expectSame(await run(null, {}, merged), expected['together']!.get(`${name}.y_merged`));
  });
});

describe('one for each row', () => {
  it.each(Object.entries(cases.mixed))('%s', async (name, { adapter_names: names }) => {
    const rows = names.map((each) => (each === '__base__' ? null : each));
    // PEFT takes one name for all.
    const choice = rows.length === 1 ? rows[0]! : rows;
    const used = picked(...new Set(rows.flatMap((each) => each ?? [])));
    // DoRA in a row of a batch works here; what it should be was put together from single runs.
    const wanted = expected['mixed']!.get(`${name}.right`) ?? expected['mixed']!.get(`${name}.y`);
    expectSame(await run(choice, used), wanted);
  });
});

describe('of other tuners', () => {
  const own = path.join(folder, 'types');
  // The same net as that of Arrow's numbers.
  const net = path.join(import.meta.dirname, '../packages/methods/fixtures/arrow');
  const together = JSON.parse(readFileSync(path.join(own, 'types.json'), 'utf8')) as Record<string, { adapters: readonly string[]; error?: string }>; // prettier-ignore
  const plugins = [methodsPlugin];
  let base: Model;
  let x: Tensor;
  let wanted: ReadonlyMap<string, Tensor>;
  beforeAll(async () => {
    base = await openModel(path.join(net, 'model.onnx'), { plugins });
    x = (await readSafetensors(path.join(net, 'base.safetensors'))).tensors.get('x')!;
    ({ tensors: wanted } = await readSafetensors(path.join(own, 'expected.safetensors')));
  });
  const load = (name: string): Promise<Adapter> => loadAdapter(path.join(own, name));

  it.each(['lora', 'loha', 'lokr', 'oft', 'shira'])('%s alone', async (name) => {
    expectSame(await run(name, { [name]: await load(name) }, base, x), wanted.get(`${name}.y`));
  });

  it.each(Object.entries(together).filter(([, { error }]) => error === undefined))(
    '%s merged one after the other',
    async (name, { adapters: names }) => {
      let merged = base;
      for (const [i, each] of names.entries()) {
        const file = path.join(scratch, `${name}-${i}.onnx`);
        await merge(merged, await load(each), file, { allowBaseMismatch: true });
        merged = await openModel(file, { plugins });
      }
      expectSame(await run(null, {}, merged, x), wanted.get(`${name}.y_merged`));
    },
  );
});
