/** @file The check of gradient rules sees what is wrong with one; that right ones pass, `autodiff/rules.test.ts` shows. */

import { describe, expect, it } from 'vitest';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { OperatorRule } from '@onnx-lora/sdk/plugin';
import { checkOperator } from './checkOperator.ts';
import type { OperatorCase } from './operands.ts';

const DOMAIN = 'com.microsoft';
const square: OperatorCase = { domain: DOMAIN, inputs: [[2, 3, 3]], type: 'float32' };

/** `Y = X⁻¹`: dX = −Yᵀ · dY · Yᵀ. */
function inverse(scale = -1): OperatorRule {
  return {
    domain: DOMAIN,
    op: 'Inverse',
    infer: ({ inputs: [x] }) => [{ type: x?.type, shape: x?.shape }],
    gradient: [
      ({ g, dy, y }) => {
        const turned = g.Transpose(y[0]!, [0, 2, 1]);
        return g.Mul(g.MatMul(g.MatMul(turned, dy), turned), scale);
      },
    ],
  };
}

describe('a rule that a plugin brings', () => {
  it('passes when it is right', async () => {
    // Well away from singular matrices, where the inverse bends too much for single precision.
    const check: OperatorCase = { ...square, inputs: [{ floats: [4, 1, 0, -1, 5, 1, 0.5, 0, 3], dims: [1, 3, 3] }] };
    const [found] = await checkOperator('Inverse', check, { operators: [inverse()] });
    expect(found).toMatchObject({ input: 0, tolerance: 2e-5 });
    expect(found!.problem).toBeUndefined();
    const [wrong] = await checkOperator('Inverse', check, { operators: [inverse(-1.001)] });
    expect(wrong!.problem).toMatch(/^by element \d+ of input 0 the rule gives -?[\d.]+, the finite difference is/);
    expect(wrong!.error).toBeGreaterThan(2e-5);
  });

  it('must be there', async () => {
    await expect(checkOperator('Inverse', square)).rejects.toThrow(OnnxLoraError);
  });

  it('must give a gradient of the shape of its input', async () => {
    const flat: OperatorRule = { ...inverse(), gradient: [({ g, dy }): Value => g.Reshape(dy, [2, 9])] };
    await expect(checkOperator('Inverse', square, { operators: [flat] })).rejects.toThrow(/PLUGIN|has shape|gradient/);
  });
});

it.each<[string, Partial<OperatorRule>, number]>([
  [
    'infer',
    {
      infer: () => {
        throw new TypeError('no.');
      },
    },
    0,
  ],
  [
    'the gradient by input 0',
    {
      gradient: [
        () => {
          throw new TypeError('no.');
        },
      ],
    },
    0,
  ],
  [
    'the gradient by input 1',
    {
      gradient: [
        ({ dy }) => dy,
        () => {
          throw new TypeError('no.');
        },
      ],
    },
    1,
  ],
  [
    'the gradient by input 0',
    {
      gradient: () => {
        throw new TypeError('no.');
      },
    },
    0,
  ],
])('a rule that throws in %s fails', async (what, change, input) => {
  const operators = [{ ...inverse(), ...change }];
  const check = {
    ...square,
    inputs: [
      [2, 3, 3],
      [2, 3, 3],
    ],
  };
  expect(await checkOperator('Inverse', check, { operators })).toEqual([
    { input, error: Infinity, tolerance: 2e-5, problem: `${what} fails: no.` },
  ]);
});

it('a gradient that is not a number fails', async () => {
  const broken = inverse(NaN);
  const [found] = await checkOperator('Inverse', square, { operators: [broken] });
  expect(found).toMatchObject({ error: Infinity, problem: expect.stringContaining('NaN') as string });
});

it('an operator of the table', async () => {
  const found = await checkOperator('Mul', { inputs: [[2, 3], [3]] });
  expect(found.map(({ input, problem }) => [input, problem])).toEqual([
    [0, undefined],
    [1, undefined],
  ]);
});
