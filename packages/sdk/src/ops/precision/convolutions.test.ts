/** @file Convolutions in integers give what their formula gives, computed here number by number, and how far they are off. */

import { describe, expect, it } from 'vitest';
import { modelFrom, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { ModelProto } from '../../graph/proto.ts';
import { runSync } from '../../graph/eventLoop.ts';
import { Random } from '../../runtime/random.ts';
import { float32 } from '../../runtime/tensor.ts';
import { inferNode } from '../infer.ts';
import { type IntegerPrecision, inPrecision } from './precision.ts';
import { withSamples } from './productErrors.ts';

const [BATCH, IN, LENGTH, OUT] = [2, 4, 19, 6];
const random = new Random(5);
const normals = (count: number, size = 1): Float32Array => Float32Array.from({ length: count }, () => size * random.normal()); // prettier-ignore
/** Two examples of very different sizes. */
const values = Float32Array.from([...normals(IN * LENGTH), ...normals(IN * LENGTH, 1e-3)]);
const x = float32(values, [BATCH, IN, LENGTH]);
const bias = normals(OUT);
const precision: IntegerPrecision = { name: 'int8', saturates: false, smallest: 1 };

interface Settings {
  readonly kernel: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly pads?: readonly [number, number];
}

/** In float32, or each example in steps of its range ÷ 255 and each channel of the weight in steps of its largest magnitude ÷ 127. */
function expected(
  weight: Float32Array,
  { kernel, stride = 1, dilation = 1, pads = [0, 0] }: Settings,
  isRounded: boolean,
): number[] {
  const rounded = (value: number, largest: number): number =>
    isRounded ? (Math.round((127 * value) / largest) * largest) / 127 : value;
  const inRange = (value: number, all: Float32Array): number => {
    const [most, least] = [Math.max(0, ...all), Math.min(0, ...all)];
    const step = (most - least) / 255;
    const zero = Math.round(-least / step);
    return isRounded ? (Math.min(255, Math.max(0, Math.round(value / step) + zero)) - zero) * step : value;
  };
  const largest = (all: Float32Array): number => all.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
  const windows = Math.floor((LENGTH + pads[0] + pads[1] - (kernel - 1) * dilation - 1) / stride) + 1;
  const found: number[] = [];
  for (let b = 0; b < BATCH; b++) {
    const example = values.subarray(b * IN * LENGTH, (b + 1) * IN * LENGTH);
    for (let o = 0; o < OUT; o++) {
      const own = weight.subarray(o * IN * kernel, (o + 1) * IN * kernel);
      for (let t = 0; t < windows; t++) {
        let sum = 0;
        for (let c = 0; c < IN; c++) {
          for (let k = 0; k < kernel; k++) {
            const at = t * stride + k * dilation - pads[0];
            const value = at >= 0 && at < LENGTH ? example[c * LENGTH + at]! : 0;
            sum += inRange(value, example) * rounded(own[c * kernel + k]!, largest(own));
          }
        }
        found.push(sum + bias[o]!);
      }
    }
  }
  return found;
}

function convolution(
  weight: Float32Array,
  { kernel, stride = 1, dilation = 1, pads = [0, 0] }: Settings,
  { opset = 17, ...attributes }: { readonly opset?: number; readonly group?: number; readonly auto_pad?: string } = {},
): { readonly model: ModelProto; readonly y: Value } {
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
  // Sizes that a file leaves open.
  const input: Value = { name: 'x', type: 'float32', shape: ['batch', IN, 'length'] };
  const { group = 1 } = attributes;
  const factors = [g.constant(float32(weight, [OUT, IN / group, kernel])), g.constant(float32(bias, [OUT]))];
  const own = { kernel_shape: [kernel], strides: [stride], dilations: [dilation], ...attributes };
  const y = g.emit('Conv', [input, ...factors], attributes.auto_pad ? own : { ...own, pads });
  return { model: modelFrom(g, [input], [y]), y };
}

const operatorsOf = ({ graph }: ModelProto): string[] => graph!.node!.map(({ opType }) => opType!);

describe('convolutions in integers', () => {
  it.each([
    ['', { kernel: 3 }, 17],
    ['with a stride', { kernel: 3, stride: 2 }, 17],
    ['of an even kernel', { kernel: 2, stride: 2 }, 17],
    ['of one position', { kernel: 1 }, 17],
    ['of one position with a stride', { kernel: 1, stride: 3 }, 17],
    ['with zeros around', { kernel: 3, pads: [1, 2] }, 17],
    ['with a dilation', { kernel: 3, dilation: 3, stride: 2, pads: [2, 0] }, 17],
    ['before QuantizeLinear has a scale for each row', { kernel: 3, stride: 2, pads: [1, 1] }, 11],
    ['with axes as inputs', { kernel: 3, stride: 2, pads: [1, 1] }, 21],
  ] as const)('%s', async (_, settings, opset) => {
    const weight = normals(OUT * IN * settings.kernel, 0.1);
    const { model, y } = convolution(weight, settings, { opset });
    const inIntegers = runSync(inPrecision(model, precision));
    expect(operatorsOf(inIntegers)).toContain('MatMulIntegerToFloat');
    expect(operatorsOf(inIntegers)).not.toContain('Conv');
    const { [y.name]: found } = await runOnce(inIntegers, { x });
    const wanted = expected(weight, settings, true);
    expect(found!.data).toHaveLength(wanted.length);
    expect(found!.dims).toEqual([BATCH, OUT, wanted.length / BATCH / OUT]);
    // A half may be rounded the other way: one step of one number.
    wanted.forEach((value, i) => expect(Math.abs((found!.data[i] as number) - value)).toBeLessThan(2e-3));
    // Apart from the bias, the second example is a thousandth: its own step is that much finer.
    const small = wanted.map((__, i) => i).slice(wanted.length / 2);
    const own = (i: number): number => bias[Math.floor(i / found!.dims[2]!) % OUT]!;
    for (const i of small) expect(Math.abs((found!.data[i] as number) - wanted[i]!)).toBeLessThan(1e-5 + 1e-6 * Math.abs(own(i))); // prettier-ignore
  });

  it.each([
    ['of groups', { kernel: 3 }, { group: 2 }],
    ['whose zeros follow from sizes', { kernel: 3 }, { auto_pad: 'SAME_UPPER' }],
    ['with a long kernel', { kernel: 17 }, {}],
  ] as const)('but not those %s', (_, settings, own) => {
    const { group = 1 } = own as { group?: number };
    const { model } = convolution(normals((OUT * IN * settings.kernel) / group), settings, own);
    expect(operatorsOf(runSync(inPrecision(model, precision)))).toEqual(['Conv']);
  });

  it('but not those of gradients, nor with exact answers, nor where they are left out', () => {
    const { model } = convolution(normals(OUT * IN * 3), { kernel: 3 });
    const weight = model.graph!.node![0]!.input![1]!;
    for (const [own, isBackward] of [
      [precision, true],
      [{ ...precision, name: 'int8-backward' }, false],
      [{ ...precision, inFloat32: [`forward ${weight}`] }, false],
    ] as const)
      expect(operatorsOf(runSync(inPrecision(model, own, () => isBackward)))).toEqual(['Conv']);
  });

  it('are measured beside float32, without their bias, in one of eight windows', async () => {
    const settings = { kernel: 3, stride: 1 };
    const weight = normals(OUT * IN * 3, 0.1);
    const { model, y } = convolution(weight, settings);
    const { model: sampled, errors } = withSamples(model, precision, () => false);
    const found = await runOnce(sampled, { x });
    const [exact, rounded] = [false, true].map((is) => expected(weight, settings, is)) as [number[], number[]];
    expect(Math.hypot(...exact.map((each, i) => each - Number(found[y.name]!.data[i])))).toBeLessThan(1e-5);
    const windows = found[y.name]!.dims[2]!;
    const compared = exact.map((_, i) => i).filter((i) => (i % windows) % 8 === 0);
    const alone = compared.map((i) => exact[i]! - bias[Math.floor(i / windows) % OUT]!);
    const wanted = Math.hypot(...compared.map((i) => exact[i]! - rounded[i]!)) / Math.hypot(...alone);
    expect(errors.map(({ name }) => name)).toEqual([`forward ${model.graph!.node![0]!.input![1]!}`]);
    expect(Number(found[errors[0]!.output]!.data[0])).toBeCloseTo(wanted, 4);
    expect(wanted).toBeGreaterThan(0.003);
  });
});
