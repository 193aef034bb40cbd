/** @file Tests of converting between PEFT's adapters and `.onnx_adapter`, against numbers worked out by hand. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { float32, type Tensor, tensor } from '../runtime/tensor.ts';
import { Adapter } from './adapter.ts';
import { fromOrtAdapter, saveOnnxAdapter, toOrtAdapter } from './convert.ts';
import { loadAdapter } from './loadAdapter.ts';
import { formatOrtAdapter, parseOrtAdapter } from './ortAdapter.ts';
import { type AdapterConfig, parseAdapterConfig, scalingOf } from './peftConfig.ts';
import { tensorName } from './tensorNames.ts';

const ortFiles = path.join(import.meta.dirname, '../../fixtures/adapters/ort');

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

  it.each([
    ['lora_magnitude_vector', "DoRA's magnitude"],
    ['parameter', 'a parameter trained in full'],
    ['lora_B.bias', 'a bias of lora_B'],
    ['lora_embedding_A', 'part of an adapted embedding'],
  ] as const)('refuses %s', (role, words) => {
    const tensors = new Map([...pair('q', A, B), [tensorName('q', role), float32([1, 2], [2])] as const]);
    expect(() => toOrtAdapter(new Adapter(config({ r: 2 }), tensors))).toThrow(words);
  });

  it('refuses factors of convolutions, and half a pair', () => {
    const conv = new Map(pair('c', float32([1, 2, 3, 4], [1, 1, 2, 2]), float32([1], [1, 1, 1, 1])));
    expect(() => toOrtAdapter(new Adapter(config({ r: 1 }), conv))).toThrow('only adapters of linear layers');
    const half = new Map(pair('q', A, B).slice(0, 1));
    expect(() => toOrtAdapter(new Adapter(config({ r: 2 }), half))).toThrow('lora_B is missing');
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
    expect(adapter.config).toMatchObject({ r: 2, alpha: 2, targetModules: ['a.q'], rankPattern: {} });
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

  it.each([
    ['PEFT names', 'base_model.model.q.lora_A.weight', 'only tensors named'],
    ['other names', 'bias', 'only tensors named'],
    ['half a pair', 'q.lora_A.weight', 'lora_B is missing'],
  ])('refuses %s', (_, name, words) => {
    expect(() => fromOrtAdapter(new Map([[name, float32([1, 2], [1, 2])]]), 'x.onnx_adapter')).toThrow(words);
  });

  it('refuses ranks that differ, and an empty file', () => {
    const tensors = new Map([
      ['q.lora_A.weight', float32([1, 2], [1, 2])],
      ['q.lora_B.weight', float32([1, 2, 3], [3, 1])],
    ]);
    expect(() => fromOrtAdapter(tensors)).toThrow('rank 2 and its lora_B has rank 3');
    expect(() => fromOrtAdapter(new Map())).toThrow('holds no tensors');
  });
});

describe('files', () => {
  it('come back the same to the last bit, for any rank and scaling', async () => {
    const folder = temporaryFolder();
    const sizes = fc.record({ r: fc.integer({ min: 1, max: 4 }), width: fc.integer({ min: 1, max: 5 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(sizes, { minLength: 1, maxLength: 4 }),
        fc.float({ min: Math.fround(0.1), max: 64, noNaN: true }),
        async (modules, alpha) => {
          const tensors = modules.flatMap(({ r, width }, i) =>
            pair(
              `layer.${i}.q`,
              float32(
                Float32Array.from({ length: r * width }, (_, k) => Math.sin(k + i)),
                [r, width],
              ),
              float32(
                Float32Array.from({ length: r * width }, (_, k) => Math.cos(k * i + 1)),
                [width, r],
              ),
            ),
          );
          const adapter = new Adapter(config({ r: 2, lora_alpha: alpha }), new Map(tensors));
          const file = path.join(folder, 'a.onnx_adapter');
          await saveOnnxAdapter(adapter, file);
          // Fed tensors are what a run depends on.
          expect(toOrtAdapter(await loadAdapter(file))).toEqual(toOrtAdapter(adapter));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('leave nothing behind when the adapter cannot be converted', async () => {
    const file = path.join(temporaryFolder(), 'a.onnx_adapter');
    const tensors = new Map([
      ...pair('q', A, B),
      [tensorName('q', 'lora_magnitude_vector'), float32([1, 2], [2])] as const,
    ]);
    await expect(saveOnnxAdapter(new Adapter(config({ r: 2 }), tensors), file)).rejects.toThrow("DoRA's magnitude");
    expect(existsSync(file)).toBe(false);
  });

  it('of other kinds are refused by name', async () => {
    const file = path.join(temporaryFolder(), 'adapter.bin');
    writeFileSync(file, formatOrtAdapter(new Map()));
    await expect(loadAdapter(file)).rejects.toThrow('a file that ends in .onnx_adapter');
  });
});
