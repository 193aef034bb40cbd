/** @file Shape inference of elementwise operators, with contents of small tensors that sizes are computed from. */

import { dataTypeName } from '../../graph/dataType.ts';
import { unary, binary } from '../arithmetic.ts';
import type { Dim, ValueType } from '../../graph/value.ts';
import { intAttribute } from '../../graph/walk.ts';
import { add, broadcast, divideExactly, isSize, multiply, subtract, symbol } from '../dim.ts';
import { firstType, type InferenceSite, input, like, numbersIn, type Rule } from './site.ts';
import { attributeOf } from '../schema.ts';

type Operation = (a: Dim, b: Dim, site: InferenceSite) => Dim | undefined;

/** Broadcasts inputs; `ints` computes the contents of scalars and lists. */
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
    const [left, right] = [a[a.length === 1 ? 0 : i]!, b[b.length === 1 ? 0 : i]!];
    // Symbols are integers; nothing is known of fractions of them.
    if ([left, right].some(isFraction) && [left, right].some((each) => typeof each === 'string')) return undefined;
    const value = operation(left, right, site);
    if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return undefined;
    result.push(rounded(value, firstType(site)));
  }
  return result;
}

const isFraction = (value: Dim): boolean => typeof value === 'number' && !Number.isInteger(value);

const rounded = <T extends Dim>(value: T, type: ValueType['type']): T =>
  typeof value === 'number' && type === 'float32' ? (Math.fround(value) as T) : value;

const numeric =
  (operation: (a: number, b: number, site: InferenceSite) => number | undefined): Operation =>
  (a, b, site) =>
    typeof a === 'number' && typeof b === 'number' ? operation(a, b, site) : undefined;

const isFloat = (site: InferenceSite): boolean => /float/.test(firstType(site) ?? '');

const divide: Operation = (a, b, site) => {
  const exact = b === 0 ? undefined : divideExactly(a, b);
  if (exact !== undefined || b === 0) return exact;
  if (typeof a === 'number' && typeof b === 'number') return isFloat(site) ? a / b : Math.trunc(a / b);
  return isFloat(site) ? undefined : symbol(`(${a}/${b})`);
};

/** With `fmod`, the result has the dividend's sign, else the divisor's. */
const remainder = numeric((a, b, { node }) =>
  b === 0 ? undefined : attributeOf(node, 'fmod') === 1 ? a % b : ((a % b) + b) % b,
);

const elementwise = broadcasting(firstType);
const logical = (op: string): Rule => broadcasting(() => 'bool', numeric(binary[op]!));
/** Equal symbols are equal sizes; a size compares with a negative number as 0 does. */
const comparison = (op: string): Rule =>
  broadcasting(
    () => 'bool',
    (a, b, site) => {
      if (a === b) return binary[op]!(0, 0);
      return numeric(binary[op]!)(sizeBeside(b, a), sizeBeside(a, b), site);
    },
  );
const extreme = (op: string): Rule =>
  broadcasting(firstType, (a, b, site) => (a === b ? a : numeric(binary[op]!)(a, b, site)));

const sizeBeside = (other: Dim, size: Dim): Dim =>
  typeof other === 'number' && other < 0 && typeof size === 'string' && isSize(size) ? 0 : size;

/** Maps the contents of the only input. */
const mapped =
  (op: string): Rule =>
  (site) => {
    const { type, shape } = input(site);
    const ints = numbersIn(input(site))?.map((value) => rounded(unary[op]!(value), type));
    return [{ type, shape, ints: ints?.every(Number.isFinite) ? ints : undefined }];
  };

const bools: Rule = (site) => [{ type: 'bool', shape: input(site).shape }];

function casted(x: ValueType, type: ValueType['type']): ValueType {
  const { shape, ints } = x;
  if (type === 'bool') return { type, shape, ints: numbersIn(x)?.map((value) => Number(value !== 0)) };
  // Numbers beyond the new type's range would change.
  const largest = { int64: Infinity, float32: 2 ** 24, float64: 2 ** 53, int32: 2 ** 31 - 1 }[type as string] ?? 127;
  const fits = (value: Dim): boolean => typeof value === 'string' || Math.abs(value) <= largest;
  if (!ints?.every(fits)) return { type, shape };
  const isWhole = type !== 'float32' && type !== 'float64';
  return {
    type,
    shape,
    ints: ints.map((value) => (typeof value === 'number' && isWhole ? Math.trunc(value) : rounded(value, type))),
  };
}

const where: Rule = (site) => {
  const [{ type, shape }] = broadcasting(() => input(site, 1).type)(site) as [ValueType];
  const condition = numbersIn(input(site));
  const [yes, no] = [input(site, 1).ints, input(site, 2).ints];
  const at = (list: readonly Dim[], i: number): Dim => list[list.length === 1 ? 0 : i]!;
  const length = typeof shape?.[0] === 'number' ? shape[0] : 1;
  const ints =
    shape && shape.length <= 1 && length <= 64 && condition && yes && no
      ? Array.from({ length }, (_, i) => (at(condition, i) ? at(yes, i) : at(no, i)))
      : undefined;
  return [{ type, shape, ints }];
};

/** The second output is the mask. */
const dropout: Rule = (site) => [...like(1)(site), { type: 'bool', shape: input(site).shape }];

const same = like(1);

function rows(ops: readonly string[], rule: (op: string) => Rule): Record<string, Rule> {
  return Object.fromEntries(ops.map((op) => [op, rule(op)]));
}

export const elementwiseRules: Readonly<Record<string, Rule>> = {
  ...rows(
    [
      'Exp', 'Log', 'Erf', 'Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Sinh', 'Cosh', 'Tanh', 'Asinh',
      'Acosh', 'Atanh', 'Sigmoid', 'Softplus', 'Softsign', 'Relu', 'LeakyRelu', 'PRelu', 'ThresholdedRelu', 'Elu', 'Selu',
      'Celu', 'HardSigmoid', 'HardSwish', 'Hardmax', 'Mish', 'Swish', 'Gelu', 'FastGelu', 'QuickGelu', 'BiasGelu', 'Shrink',
      'Softmax', 'LogSoftmax', 'BiasSoftmax', 'Clip', 'BitwiseNot', 'Trilu', 'CumSum', 'CumProd', 'Inverse', 'BiasAdd',
      'RotaryEmbedding', 'MoE', 'QMoE', 'ReverseSequence', 'Scatter', 'ScatterND', 'ScatterElements', 'TensorScatter',
    ], // prettier-ignore
    () => same,
  ),
  ...rows(['Abs', 'Ceil', 'Floor', 'Neg', 'Not', 'Reciprocal', 'Round', 'Sign', 'Sqrt'], mapped),
  ...rows(['And', 'Or', 'Xor'], logical),
  ...rows(['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'], comparison),
  ...rows(['Min', 'Max'], extreme),
  Identity: (site) => [input(site)],
  Cast: (site) => [casted(input(site), dataTypeName(intAttribute(site.node, 'to', 0)))],
  CastLike: (site) => [casted(input(site), input(site, 1).type)],
  IsNaN: bools,
  IsInf: bools,
  Add: broadcasting(firstType, add),
  Sub: broadcasting(firstType, subtract),
  Mul: broadcasting(firstType, multiply),
  Div: broadcasting(firstType, divide),
  Mod: broadcasting(firstType, remainder),
  Pow: broadcasting(firstType, numeric(binary['Pow']!)),
  Sum: elementwise,
  Mean: elementwise,
  BitShift: elementwise,
  BitwiseAnd: elementwise,
  BitwiseOr: elementwise,
  BitwiseXor: elementwise,
  Where: where,
  Dropout: dropout,
  BiasDropout: dropout,
};
