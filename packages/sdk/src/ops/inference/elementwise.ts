/** @file Types and shapes of operators that work element by element, with the contents of small integer tensors. */

import { dataTypeName } from '../../graph/dataType.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { add, broadcast, divideExactly, multiply, subtract, symbol } from '../dim.ts';
import { firstType, type InferenceSite, input, like, numbersIn, type Rule } from './site.ts';

type Operation = (a: Dim, b: Dim, site: InferenceSite) => Dim | undefined;

/** Inputs broadcast together; `ints` calculates with the contents of one-dimensional ones. */
function broadcasting(type: (site: InferenceSite) => ValueType['type'], ints?: Operation): Rule {
  return (site) => {
    const shapes = site.inputs.filter((each) => each !== undefined).map(({ shape }) => shape);
    const shape = shapes.every((each) => each !== undefined)
      ? shapes.reduce<Dim[] | undefined>((a, b) => a && broadcast(a, b!), [])
      : undefined;
    return [{ type: type(site), shape, ints: ints && shape && shape.length <= 1 ? combine(site, ints) : undefined }];
  };
}

function combine(site: InferenceSite, operation: Operation): Dim[] | undefined {
  const lists = site.inputs.map((each) => each?.ints);
  if (lists.length === 0 || !lists.every((list) => list !== undefined)) return undefined;
  return lists.reduce<Dim[] | undefined>((a, b) => a && pairwise(a, b!, site, operation), [...lists.shift()!]);
}

function pairwise(a: readonly Dim[], b: readonly Dim[], site: InferenceSite, operation: Operation): Dim[] | undefined {
  if (a.length !== b.length && a.length !== 1 && b.length !== 1) return undefined;
  const result: Dim[] = [];
  for (let i = 0; i < (a.length === 1 ? b : a).length; i++) {
    const value = operation(a[a.length === 1 ? 0 : i]!, b[b.length === 1 ? 0 : i]!, site);
    if (value === undefined) return undefined;
    result.push(value);
  }
  return result;
}

const numeric =
  (operation: (a: number, b: number, site: InferenceSite) => number | undefined): Operation =>
  (a, b, site) =>
    typeof a === 'number' && typeof b === 'number' ? operation(a, b, site) : undefined;

const isFloat = (site: InferenceSite): boolean => /float/.test(firstType(site) ?? '');

const divide: Operation = (a, b, site) => {
  const exact = b === 0 ? undefined : divideExactly(a, b);
  if (exact !== undefined || isFloat(site) || b === 0) return exact;
  return typeof a === 'number' && typeof b === 'number' ? Math.trunc(a / b) : symbol(`(${a}/${b})`);
};

/** With `fmod` the sign of the result is that of the dividend, else that of the divisor. */
const remainder = numeric((a, b, { node }) =>
  b === 0 ? undefined : intAttribute(node, 'fmod', 0) === 1 ? a % b : ((a % b) + b) % b,
);

const elementwise = broadcasting(firstType);
const logical = (test: (a: number, b: number) => boolean): Rule =>
  broadcasting(
    () => 'bool',
    numeric((a, b) => Number(test(a, b))),
  );
/** Equal symbols are equal sizes, whatever they are. */
const comparison = (test: (a: number, b: number) => boolean): Rule =>
  broadcasting(
    () => 'bool',
    (a, b, site) => (a === b ? Number(test(0, 0)) : numeric((left, right) => Number(test(left, right)))(a, b, site)),
  );

/** The contents of the only input, one by one. */
const mapped =
  (operation: (value: number) => number): Rule =>
  (site) => {
    const { type, shape } = input(site);
    return [{ type, shape, ints: numbersIn(input(site))?.map(operation) }];
  };

const bools: Rule = (site) => [{ type: 'bool', shape: input(site).shape }];

function casted(x: ValueType, type: ValueType['type']): ValueType {
  const { shape, ints } = x;
  if (type === 'bool') return { type, shape, ints: numbersIn(x)?.map((value) => Number(value !== 0)) };
  // A number that the new type does not hold would come out as another one.
  const largest = { int64: Infinity, float32: 2 ** 24, float64: 2 ** 53, int32: 2 ** 31 - 1 }[type as string] ?? 127;
  const fits = (value: Dim): boolean => typeof value === 'string' || Math.abs(value) <= largest;
  return { type, shape, ints: ints?.every(fits) ? ints : undefined };
}

const where: Rule = (site) => {
  const shapes = [0, 1, 2].map((i) => input(site, i).shape);
  const shape = shapes.every((each) => each)
    ? shapes.reduce<Dim[] | undefined>((a, b) => a && broadcast(a, b!), [])
    : undefined;
  const condition = numbersIn(input(site));
  const [yes, no] = [input(site, 1).ints, input(site, 2).ints];
  const at = (list: readonly Dim[], i: number): Dim => list[list.length === 1 ? 0 : i]!;
  const length = typeof shape?.[0] === 'number' ? shape[0] : 1;
  const ints =
    shape && shape.length <= 1 && length <= 64 && condition && yes && no
      ? Array.from({ length }, (_, i) => (at(condition, i) ? at(yes, i) : at(no, i)))
      : undefined;
  return [{ type: input(site, 1).type, shape, ints }];
};

/** Second output: which elements were kept. */
const dropout: Rule = (site) => [...like(1)(site), { type: 'bool', shape: input(site).shape }];

const same = like(1);

/** Rows by operator. */
export const elementwiseRules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    [
      'Exp', 'Log', 'Sqrt', 'Reciprocal', 'Erf', 'Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Tanh', 'Asinh',
      'Acosh', 'Atanh', 'Sigmoid', 'Softplus', 'Softsign', 'Relu', 'LeakyRelu', 'PRelu', 'ThresholdedRelu', 'Elu', 'Selu',
      'Celu', 'HardSigmoid', 'HardSwish', 'Hardmax', 'Mish', 'Swish', 'Gelu', 'FastGelu', 'QuickGelu', 'BiasGelu', 'Shrink',
      'Softmax', 'LogSoftmax', 'BiasSoftmax', 'Clip', 'BitwiseNot', 'Trilu', 'CumSum', 'CumProd', 'Inverse', 'BiasAdd',
      'RotaryEmbedding', 'MoE', 'QMoE', 'ReverseSequence', 'Scatter', 'ScatterND', 'ScatterElements', 'TensorScatter',
    ].map((op) => [op, same]), // prettier-ignore
  ),
  Identity: (site) => [input(site)],
  Floor: mapped((value) => value),
  Ceil: mapped((value) => value),
  Round: mapped((value) => value),
  Abs: mapped(Math.abs),
  Neg: mapped((value) => 0 - value),
  Sign: mapped(Math.sign),
  Cast: (site) => [casted(input(site), dataTypeName(intAttribute(site.node, 'to', 0)))],
  CastLike: (site) => [casted(input(site), input(site, 1).type)],
  Not: mapped((value) => (value === 0 ? 1 : 0)),
  IsNaN: bools,
  IsInf: bools,
  Add: broadcasting(firstType, add),
  Sub: broadcasting(firstType, subtract),
  Mul: broadcasting(firstType, multiply),
  Div: broadcasting(firstType, divide),
  Mod: broadcasting(firstType, remainder),
  Pow: elementwise,
  Min: broadcasting(firstType, (a, b, site) => (a === b ? a : numeric((c, d) => Math.min(c, d))(a, b, site))),
  Max: broadcasting(firstType, (a, b, site) => (a === b ? a : numeric((c, d) => Math.max(c, d))(a, b, site))),
  Sum: elementwise,
  Mean: elementwise,
  BitShift: elementwise,
  BitwiseAnd: elementwise,
  BitwiseOr: elementwise,
  BitwiseXor: elementwise,
  And: logical((a, b) => a !== 0 && b !== 0),
  Or: logical((a, b) => a !== 0 || b !== 0),
  Xor: logical((a, b) => (a !== 0) !== (b !== 0)),
  Equal: comparison((a, b) => a === b),
  Less: comparison((a, b) => a < b),
  LessOrEqual: comparison((a, b) => a <= b),
  Greater: comparison((a, b) => a > b),
  GreaterOrEqual: comparison((a, b) => a >= b),
  Where: where,
  Dropout: dropout,
  BiasDropout: dropout,
};
