/** @file Holds a gradient rule against finite differences of the operator, both computed by ONNX Runtime. */

import { differentiate } from '../../packages/sdk/src/autodiff/backward.ts';
import { type DifferentiableOp, gradientRules } from '../../packages/sdk/src/autodiff/rules.ts';
import { type Attributes, GraphBuilder, type Value } from '../../packages/sdk/src/graph/builder.ts';
import { toHalf, toShorts } from '../../packages/sdk/src/graph/halfFloat.ts';
import type { ModelProto } from '../../packages/sdk/src/graph/proto.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import type { Session } from '../../packages/sdk/src/runtime/session.ts';
import {
  type Feeds,
  float32,
  int64,
  sizeOf,
  type Tensor,
  type TensorData,
} from '../../packages/sdk/src/runtime/tensor.ts';
import { cpuSession, modelOf } from './graphs.ts';

/**
 * Where an input's values are drawn from: `any` is [−1.5, 1.5), `positive` [0.5, 2), `nonzero` 0.3 to 1.5 away from
 * zero on either side, `small` [−0.4, 0.4), `large` [2, 3), `distinct` values that are at least 0.3 apart and less than
 * 0.1 away from a multiple of ½ (of ¼, where their number is odd).
 */
export type Domain = 'any' | 'positive' | 'nonzero' | 'small' | 'large' | 'distinct';

/** An operand of the operator under test. A plain list of numbers is the shape of a float input over `any`. */
export type Operand =
  | readonly number[]
  | { readonly shape: readonly number[]; readonly domain: Domain }
  /** A float input with these values. */
  | { readonly floats: readonly number[]; readonly dims: readonly number[] }
  /** An int64 constant that the graph knows, one-dimensional unless told otherwise. */
  | { readonly ints: readonly number[]; readonly dims?: readonly number[] }
  /** A one-dimensional float32 constant that the graph knows. */
  | { readonly scales: readonly number[] }
  /** An int64 tensor that is only known at run time. */
  | { readonly fed: readonly number[]; readonly dims: readonly number[] }
  /** A condition, only known at run time. */
  | { readonly bools: readonly number[]; readonly dims: readonly number[] }
  /** The same value as that input. */
  | { readonly same: number }
  /** An optional input that is left out. */
  | undefined;

/** The element types that a check can be run in. */
export type FloatType = 'float16' | 'float32' | 'float64';

/** One check of one operator. */
export interface Case {
  readonly inputs: readonly Operand[];
  readonly attributes?: Attributes;
  /** 18 unless told otherwise. */
  readonly opset?: number;
  readonly domain?: string;
  /** float64 unless told otherwise: float32 is for operators that the CPU provider computes in nothing else. */
  readonly type?: 'float32' | 'float64';
  /** How many outputs the node has; 1 unless told otherwise. */
  readonly outputs?: number;
  /** Outputs that the loss reads; all unless told otherwise. */
  readonly read?: readonly number[];
  /** Why the case is not run on WebGPU: what ONNX Runtime's kernel of the operator itself does wrong there. */
  readonly webgpu?: string;
}

/** How far a gradient is from the finite difference. */
export interface GradientError {
  /** The input differentiated by. */
  readonly input: number;
  /** Largest difference of an element, relative to the largest element (at least 1). */
  readonly error: number;
  readonly tolerance: number;
}

/** Several operators together: emits them from the inputs and returns what the loss reads. */
export type Composite = (g: GraphBuilder, inputs: readonly Value[]) => Value;

/** An operator alone, and with its gradients behind it. */
interface Check {
  /** Yields the values that the loss reads. */
  readonly forward: ModelProto;
  /** Yields the loss, then the gradients. */
  readonly backward: ModelProto;
  readonly feeds: Record<string, Tensor>;
  readonly read: readonly Value[];
  /** Random weights of the outputs in the loss, one for each of `read`. */
  readonly weights: readonly Value[];
  /** The gradient by number of the input. */
  readonly gradients: ReadonlyMap<number, Value>;
}

/**
 * The graphs that a check runs: the loss is ⟨w, f(x)⟩ with w random, and differentiated by every float input of `op` that
 * has a rule, or all of a composite.
 */
export function checkOf(
  op: DifferentiableOp | Composite,
  check: Case,
  type: FloatType = check.type ?? 'float64',
  seed = 1,
): Check {
  const { opset = 18 } = check;
  const random = new Random(seed);
  const { inputs, feeds, constants } = operands(check, type, random);

  const f = new GraphBuilder({ opset, infer: inferNode, prefix: 'f/' });
  const values = inputs.map((input) => (input && 'tensor' in input ? f.constant(input.tensor) : input));
  const outputs =
    typeof op === 'function'
      ? [op(f, values as Value[])]
      : f.emitMany(op, values, check.outputs ?? 1, check.attributes, check.domain);
  const read = (check.read ?? outputs.map((_, i) => i)).map((i) => outputs[i]!);
  const weights = read.map((y, i): Value => ({ name: `w${i}`, type: y.type, shape: y.shape }));
  for (const { name, type: own, shape } of weights)
    feeds[name] = randomTensor(own as FloatType, shape as readonly number[], 'any', random);
  const forwardNodes = [...f.nodes];
  const terms = read.map((y, i) => f.ReduceSum(f.Mul(y, weights[i]!), y.shape!.map((_, axis) => axis), false)); // prettier-ignore
  const loss = terms.reduce((a, b) => f.Add(a, b));

  const graphInputs = inputs.filter((input): input is Value => input !== undefined && !('tensor' in input));
  const fedInputs = [...new Map(graphInputs.map((value) => [value.name, value])).values()];
  const rule = typeof op === 'function' ? undefined : gradientRules[op];
  const wrt = inputs.flatMap((input, i) => {
    const differentiable = input && !constants.has(i) && (!Array.isArray(rule) || rule[i]);
    return differentiable && input.type === type && !('same' in (check.inputs[i] as object)) ? [i] : [];
  });
  const types = new Map([...f.types, ...[...fedInputs, ...weights].map((value) => [value.name, value] as const)]);
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'g/' });
  const backward = differentiate({
    g,
    nodes: f.nodes,
    types,
    loss: loss.name,
    wrt: wrt.map((i) => `x${i}`),
    stopped: f.stopped,
    given: f.given,
  });
  const missing = wrt.find((i) => !backward.gradients.has(`x${i}`));
  if (missing !== undefined) throw new Error(`There is no gradient for input ${missing}.`);
  return {
    forward: modelOf({
      opset,
      inputs: fedInputs,
      outputs: read.map(({ name }) => name),
      nodes: forwardNodes,
      initializers: f.initializers,
    }),
    backward: modelOf({
      opset,
      inputs: [...fedInputs, ...weights],
      outputs: [loss.name, ...[...backward.gradients.values()].map(({ name }) => name)],
      nodes: [...f.nodes, ...backward.recompute, ...backward.chain, ...backward.leaves],
      initializers: [...f.initializers, ...g.initializers],
    }),
    feeds,
    read,
    weights,
    gradients: new Map(wrt.map((i) => [i, backward.gradients.get(`x${i}`)!])),
  };
}

/**
 * Checks every gradient of `op`.
 *
 * The numeric side is the five-point difference of ⟨w, f(x + εv)⟩ for every unit vector v, with w fixed and random: its
 * error is of order ε⁴, so that float64 agrees to 1e-8 and float32, with a wide ε, to 2e-5.
 */
export async function gradcheck(op: DifferentiableOp | Composite, check: Case, seed = 1): Promise<GradientError[]> {
  const { type = 'float64' } = check;
  const [epsilon, tolerance] = type === 'float64' ? [2e-3, 1e-8] : [4e-2, 2e-5];
  const { forward, backward, feeds, read, weights, gradients } = checkOf(op, check, type, seed);
  const numeric = await cpuSession(forward, 'forward');
  const analytic = await cpuSession(backward, 'backward');
  try {
    const outputs = await analytic.run(feeds);
    const results: GradientError[] = [];
    for (const [input, gradient] of gradients) {
      const name = `x${input}`;
      const found = outputs[gradient.name]!;
      const shape = feeds[name]!.dims.join();
      if (found.dims.join() !== shape || gradient.shape?.join() !== shape || found.type !== type) {
        throw new Error(
          `The gradient of input ${input} is ${found.type} [${found.dims.join()}], inferred [${gradient.shape?.join()}], for [${shape}].`,
        );
      }
      const dot = (feed: Feeds): Promise<number> => weighted(numeric, feed, read, weights);
      results.push({ input, error: await worst(found, name, feeds, epsilon, dot), tolerance });
    }
    return results;
  } finally {
    await numeric.release();
    await analytic.release();
  }
}

type Prepared = Value | (Value & { tensor: Tensor }) | undefined;

function operands(
  check: Case,
  type: FloatType,
  random: Random,
): { inputs: Prepared[]; feeds: Record<string, Tensor>; constants: Set<number> } {
  const feeds: Record<string, Tensor> = {};
  const constants = new Set<number>();
  const inputs: Prepared[] = [];
  check.inputs.forEach((operand, i) => {
    const name = `x${i}`;
    const fed = (tensor: Tensor): Value => {
      feeds[name] = tensor;
      return { name, type: tensor.type, shape: tensor.dims };
    };
    if (operand === undefined) inputs.push(undefined);
    else if ('same' in operand) inputs.push(inputs[operand.same]);
    else if ('ints' in operand) {
      constants.add(i);
      inputs.push({ name, tensor: int64(operand.ints, operand.dims ?? [operand.ints.length]) });
    } else if ('scales' in operand) {
      constants.add(i);
      inputs.push({ name, tensor: float32(operand.scales, [operand.scales.length]) });
    } else if ('fed' in operand) inputs.push(fed(int64(operand.fed, operand.dims)));
    else if ('bools' in operand)
      inputs.push(fed({ type: 'bool', dims: operand.dims, data: Uint8Array.from(operand.bools) }));
    else if ('floats' in operand) inputs.push(fed({ type, dims: operand.dims, data: floatsOf(type, operand.floats) }));
    else if ('shape' in operand) inputs.push(fed(randomTensor(type, operand.shape, operand.domain, random)));
    else inputs.push(fed(randomTensor(type, operand, 'any', random)));
  });
  return { inputs, feeds, constants };
}

function floatsOf(type: FloatType, values: readonly number[]): TensorData {
  if (type === 'float16') return toShorts(values, toHalf);
  return type === 'float64' ? Float64Array.from(values) : Float32Array.from(values);
}

function randomTensor(type: FloatType, dims: readonly number[], domain: Domain, random: Random): Tensor {
  const size = sizeOf(dims);
  const order = random.permutation(size);
  const values = order.map((place) => {
    const u = random.uniform(-1, 1);
    if (domain === 'any') return 1.5 * u;
    if (domain === 'positive') return 1.25 + 0.75 * u;
    if (domain === 'small') return 0.4 * u;
    if (domain === 'large') return 2.5 + 0.5 * u;
    if (domain === 'nonzero') return Math.sign(u || 1) * (0.3 + 1.2 * Math.abs(u));
    return place * 0.5 - size / 4 + 0.1 * u;
  });
  return { type, dims, data: floatsOf(type, values) };
}

/** ⟨w, f(x)⟩, summed in float64 whatever f is computed in. */
async function weighted(
  session: Session,
  feeds: Feeds,
  read: readonly Value[],
  weights: readonly Value[],
): Promise<number> {
  const outputs = await session.run(feeds);
  let sum = 0;
  read.forEach(({ name }, k) => {
    const [y, w] = [outputs[name]!.data, feeds[weights[k]!.name]!.data];
    for (let i = 0; i < y.length; i++) sum += Number(y[i]) * Number(w[i]);
  });
  return sum;
}

async function worst(
  gradient: Tensor,
  name: string,
  feeds: Record<string, Tensor>,
  epsilon: number,
  dot: (feeds: Feeds) => Promise<number>,
): Promise<number> {
  const original = feeds[name]!;
  let [largest, scale] = [0, 1];
  for (let i = 0; i < original.data.length; i++) {
    const at = async (steps: number): Promise<number> => {
      const data = original.data.slice() as Float64Array;
      data[i] = Number(original.data[i]) + steps * epsilon;
      return dot({ ...feeds, [name]: { ...original, data } });
    };
    const near = (await at(1)) - (await at(-1));
    const far = (await at(2)) - (await at(-2));
    const slope = (8 * near - far) / (12 * epsilon);
    const error = Math.abs(Number(gradient.data[i]) - slope);
    largest = Number.isNaN(error) ? Infinity : Math.max(largest, error);
    scale = Math.max(scale, Math.abs(slope));
  }
  return largest / scale;
}
