import { describe, expect, it } from 'vitest';
import { float32, type Tensor } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { convertResidual } from './convertResidual.ts';
import { adapterConfig } from '../formats/peftConfig.ts';
import { scalingOf } from '../formats/scaling.ts';

describe('convertResidual', () => {
  const tensor = (dims: readonly number[], first: number): Tensor =>
    float32(
      Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => first + i),
      dims,
    );
  const adapterOf = (
    parts: Record<string, Tensor>,
    config: Partial<Parameters<typeof adapterConfig>[0]> = {},
  ): Adapter =>
    new Adapter(
      adapterConfig({ r: 1, loraAlpha: 3, initLoraWeights: 'pissa', ...config }),
      new Map(Object.entries(parts).map(([name, each]) => [`base_model.model.${name}`, each])),
    );
  const trained = { 'm.q.lora_A.weight': tensor([1, 2], 1), 'm.q.lora_B.weight': tensor([2, 1], 3) };
  const initial = { 'm.q.lora_A.weight': tensor([1, 2], 5), 'm.q.lora_B.weight': tensor([2, 1], 7) };

  it('puts the first factors under the trained ones, B’s with the other sign', () => {
    const { tensors, config } = convertResidual(adapterOf(trained), adapterOf(initial));
    expect([...(tensors.get('base_model.model.m.q.lora_A.weight')!.data as Float32Array)]).toEqual([1, 2, 5, 6]);
    expect([...(tensors.get('base_model.model.m.q.lora_B.weight')!.data as Float32Array)]).toEqual([3, -7, 4, -8]);
    expect([config.r, config.loraAlpha, config.initLoraWeights]).toEqual([2, 6, true]);
  });

  it('keeps the scaling, with patterns and rsLoRA, as PEFT doubles them', () => {
    const config = { useRslora: true, rankPattern: { q: 1 }, alphaPattern: { q: 5 } };
    const converted = convertResidual(adapterOf(trained, config), adapterOf(initial, config)).config;
    expect(converted.rankPattern).toEqual({ q: 2 });
    expect(converted.alphaPattern['q']).toBeCloseTo(5 * Math.SQRT2, 12);
    expect(scalingOf(converted, 'm.q').scaling).toBeCloseTo(5, 12);
  });

  it('leaves modules alone that were not taken out of the base', () => {
    const more = { ...trained, 'm.q2.lora_A.weight': tensor([1, 2], 1), 'm.q2.lora_B.weight': tensor([2, 1], 1) };
    const { tensors, config } = convertResidual(adapterOf(more), adapterOf(initial));
    expect(tensors.get('base_model.model.m.q2.lora_A.weight')!.dims).toEqual([1, 2]);
    expect([scalingOf(config, 'm.q'), scalingOf(config, 'm.q2')]).toEqual([
      { r: 2, alpha: 6, scaling: 3 },
      { r: 1, alpha: 3, scaling: 3 },
    ]);
    // The pattern means this module alone.
    expect(scalingOf(config, 'x.m.q').r).toBe(1);
  });

  it('refuses adapters that are not before and after of one training', () => {
    expect(() => convertResidual(adapterOf(trained), adapterOf({}))).toThrow('no module in common');
    expect(() => convertResidual(adapterOf({}), adapterOf(initial))).toThrow(
      'lacks "base_model.model.m.q.lora_A.weight"',
    );
    const other = { ...initial, 'm.q.lora_A.weight': tensor([1, 3], 5) };
    expect(() => convertResidual(adapterOf(trained), adapterOf(other))).toThrow('[1, 2] after training, but [1, 3]');
  });
});
