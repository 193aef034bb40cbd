/** @file Adapters of stacked parameters in both of PEFT's layouts: the deltas are those of PEFT's own formulas. */

import { describe, expect, test } from 'vitest';
import { formAdapter, formDelta, sited } from '../../../../../test/support/formAdapters.ts';
import { formModel, type LayerForm, layerForms } from '../../../../../test/support/layerForms.ts';
import { randomFloats } from '../../../../../test/support/storedWeights.ts';
import { relativeError } from '../../../fixtures/deltaOf.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { mergeAdapter } from '../merging/merge.ts';
import { adapterConfig, parseAdapterConfig } from './peftConfig.ts';

const random = new Random(15);
const [experts, r] = [3, 2];
const square: LayerForm = {
  ...layerForms['a stacked parameter, inputs last']!,
  weightShape: [experts, 5, 5],
  input: { shape: [experts, 2, 5] },
  build: (g, x, weight) => g.emit('Einsum', [x, weight([experts, 5, 5], 'fc.down')], { equation: 'ebi,eoi->ebo' }),
};

/** An adapter with A `[r·experts, first]` and B `[second, r·experts]`, as PEFT saved it until 0.18. */
function earlier([, first, second]: readonly number[], version: string | undefined): Adapter {
  const json = {
    peft_type: 'LORA', r, lora_alpha: 3 * r, target_parameters: ['fc.down'],
    ...(version === undefined ? {} : { peft_version: version }),
  }; // prettier-ignore
  return new Adapter(
    parseAdapterConfig(json, 'adapter_config.json'),
    new Map([
      [
        'base_model.model.fc.lora_A.weight',
        float32(randomFloats([r * experts, first!], random), [r * experts, first!]),
      ],
      [
        'base_model.model.fc.lora_B.weight',
        float32(randomFloats([second!, r * experts], random), [second!, r * experts]),
      ],
    ]),
  );
}

/** `einsum('o r e, e r i -> e i o')`, as PEFT 0.18 has it in `lora/layer.py`. */
function earlierDelta([, first, second]: readonly number[], { tensors }: Adapter): Float32Array {
  const [A, B] = [...tensors.values()].map(({ data }) => data as Float32Array) as [Float32Array, Float32Array];
  const delta = new Float32Array(experts * first! * second!);
  for (let e = 0; e < experts; e++)
    for (let i = 0; i < first!; i++)
      for (let o = 0; o < second!; o++)
        for (let k = 0; k < r; k++)
          delta[(e * first! + i) * second! + o]! += 3 * B[(o * r + k) * experts + e]! * A[(e * r + k) * first! + i]!;
  return delta;
}

function mergedDelta(form: LayerForm, adapter: Adapter): Float32Array {
  const base = sited(formModel(form));
  const before = base.sites[0]!.weight.stored.read();
  const { model } = mergeAdapter(base.model, base.place(adapter));
  return sited(model).sites[0]!.weight.stored.read().map((value, i) => value - before[i]!); // prettier-ignore
}

describe('the earlier layout', () => {
  test.each(['a stacked parameter, inputs last', 'a stacked parameter, outputs last'])(
    '%s: told by its shape',
    (name) => {
      const form = layerForms[name]!;
      for (const version of [undefined, '0.18.1', '0.21.0']) {
        const adapter = earlier(form.weightShape, version);
        expect(relativeError(mergedDelta(form, adapter), earlierDelta(form.weightShape, adapter))).toBeLessThan(1e-6);
      }
    },
  );

  test('where d1 and d2 are equal, told by the version', () => {
    for (const version of [undefined, '0.17.1', '0.18.1']) {
      const adapter = earlier(square.weightShape, version);
      expect(relativeError(mergedDelta(square, adapter), earlierDelta(square.weightShape, adapter))).toBeLessThan(1e-6);
    }
    for (const version of ['0.19.0', '0.21.2', '1.0.0']) {
      const adapter = earlier(square.weightShape, version);
      expect(relativeError(mergedDelta(square, adapter), formDelta(square, adapter).data as Float32Array)).toBeLessThan(1e-6); // prettier-ignore
    }
  });
});

test('an adapter that was made here, and not read, has the present layout', () => {
  const adapter = formAdapter(square);
  expect(adapter.config).toEqual(adapterConfig({ r, loraAlpha: 3 * r, targetParameters: ['fc.down'] }));
  expect(relativeError(mergedDelta(square, adapter), formDelta(square, adapter).data as Float32Array)).toBeLessThan(
    1e-6,
  );
});
