/** @file Checks an operator's gradient rule by finite differences in ONNX Runtime. */

import { OnnxLoraError, type Session, type Feeds, type Tensor } from '@onnx-lora/sdk';
import { type Value, GraphBuilder, type InferNode } from '@onnx-lora/sdk/tasks';
import { Random } from '@onnx-lora/sdk/data';
import { type Vjp, type NodeProto, type OperatorRule, type ModelProto, inferNode } from '@onnx-lora/sdk/plugin';
import { differentiate, ruleOf, operatorName } from '@onnx-lora/sdk/core';
import { call, failureOf } from '../failures.ts';
import { cpuSession, modelOf } from '../graphs.ts';
import { slopes, stepSizes } from './finiteDifferences.ts';
import { type FloatType, type OperatorCase, operands, randomTensor } from './operands.ts';

/** Emits several operators from the inputs, and returns what the loss reads. */
export type Composite = (g: GraphBuilder, inputs: readonly Value[]) => Value;

/** Comparison of a gradient with the finite difference. */
export interface OperatorGradient {
  /** Index of the input. */
  readonly input: number;
  /** Largest error of an element, relative to the largest element (at least 1). */
  readonly error: number;
  /** Largest error allowed by the method. */
  readonly tolerance: number;
  /** The problem, if the error is larger. */
  readonly problem?: string;
}

/** Options of {@link checkOperator}. */
export interface CheckOperatorOptions {
  /** Rules of operators that the SDK does not know, as a plugin contributes them. */
  readonly operators?: readonly OperatorRule[];
  /** Seed of values and output weights; 1 by default. */
  readonly seed?: number;
}

const tolerances = { float32: 2e-5, float64: 1e-8 } as const;

/**
 * Checks an operator's gradients by every float input that its rule differentiates.
 *
 * The loss is ⟨w, f(x)⟩ with random w. It is compared with the five-point difference along every element of every
 * input, whose error is of order step⁴: float64 agrees to 1e-8, and float32, with a wide step, to 2e-5.
 * @example
 * const inverse: OperatorRule = { domain: 'com.microsoft', op: 'Inverse', gradient: [({ g, dy, y }) => …], infer: … };
 * const found = await checkOperator('Inverse', { domain: 'com.microsoft', inputs: [[2, 3, 3]] }, { operators: [inverse] });
 * assert.deepEqual(found.filter(({ problem }) => problem), []);
 * @param op type of the operator, or a function that emits several, to check their rules together
 * @returns a comparison per differentiated input; if a function of the rule throws, one with that problem
 * @throws OnnxLoraError `NO_GRADIENT` without a rule; `PLUGIN_INVALID` for a gradient whose type or shape differs from
 *   its input's; `RUNTIME_FAILED` if ONNX Runtime cannot run the operator
 */
export async function checkOperator(
  op: string | Composite,
  check: OperatorCase,
  options: CheckOperatorOptions = {},
): Promise<OperatorGradient[]> {
  const { type = 'float64' } = check;
  let graphs: OperatorGraphs;
  // The input that was differentiated last.
  const at = { input: 0 };
  try {
    const operators = options.operators?.map((rule) => watched(rule, at));
    graphs = operatorGraphs(op, check, type, { ...options, ...(operators && { operators }) });
  } catch (error) {
    return failureOf(error).map((problem) => ({ ...at, error: Infinity, tolerance: tolerances[type], problem }));
  }
  const { forward, backward, feeds, read, weights, gradients } = graphs;
  const numeric = await cpuSession(forward, 'forward');
  const analytic = await cpuSession(backward, 'backward');
  try {
    const outputs = await analytic.run(feeds);
    const results: OperatorGradient[] = [];
    for (const [input, gradient] of gradients) {
      const at = feeds[`x${input}`]!;
      const found = outputs[gradient.name]!;
      requireLike(found, at, gradient, input);
      const values = at.data as Float64Array;
      const all = Array.from(values.keys());
      const expected = await slopes(values, all, stepSizes[type], () => weighted(numeric, feeds, read, weights));
      results.push(compared(input, found, expected, tolerances[type]));
    }
    return results;
  } finally {
    await numeric.release();
    await analytic.release();
  }
}

/** The rule, with errors that name the failing call. */
function watched(rule: OperatorRule, at: { input: number }): OperatorRule {
  const { domain, op, gradient } = rule;
  const own =
    (each: Vjp): Vjp =>
    (site, index) => {
      at.input = index;
      return call(`the gradient by input ${index}`, () => each(site, index));
    };
  const rules = typeof gradient === 'function' ? own(gradient) : gradient?.map((each) => each && own(each));
  return {
    domain,
    op,
    ...(rule.infer && { infer: (site) => call('infer', () => rule.infer!(site)) }),
    ...(rules && { gradient: rules }),
  };
}

/** Graphs of an operator, forward and with its gradients. */
export interface OperatorGraphs {
  /** Computes the values that the loss reads. */
  readonly forward: ModelProto;
  /** Computes the loss and the gradients. */
  readonly backward: ModelProto;
  readonly feeds: Record<string, Tensor>;
  readonly read: readonly Value[];
  /** Random weights of the outputs in the loss, one per value of `read`. */
  readonly weights: readonly Value[];
  /** Gradients by index of the input. */
  readonly gradients: ReadonlyMap<number, Value>;
}

/** Makes a check's graphs: the loss is differentiated by every float input that the rule covers, or a composite has. */
export function operatorGraphs(
  op: string | Composite,
  check: OperatorCase,
  type: FloatType,
  { operators = [], seed = 1 }: CheckOperatorOptions = {},
): OperatorGraphs {
  const { opset = 18 } = check;
  const random = new Random(seed);
  const { operands: inputs, feeds } = operands(check.inputs, type, random);
  const annotated = annotator(operators);
  const infer: InferNode = ({ node, ...site }) => inferNode({ node: annotated(node), ...site });

  const f = new GraphBuilder({ opset, infer, prefix: 'f/' });
  const values = inputs.map((input) => (input && 'tensor' in input ? f.constant(input.tensor) : input));
  const outputs =
    typeof op === 'function'
      ? [op(f, values as Value[])]
      : f.emitMany(op, values, check.outputs ?? 1, check.attributes, check.domain);
  const read = (check.read ?? outputs.map((_, i) => i)).map((i) => outputs[i]!);
  const weights = read.map((y, i): Value => ({ name: `w${i}`, type: y.type, shape: y.shape }));
  for (const { name, type: own, shape } of weights)
    feeds[name] = randomTensor(own as FloatType, shape as readonly number[], 'any', random);
  const forwardNodes = f.nodes.map(annotated);
  const terms = read.map((y, i) => f.ReduceSum(f.Mul(y, weights[i]!), y.shape!.map((_, axis) => axis), false)); // prettier-ignore
  const loss = terms.reduce((a, b) => f.Add(a, b));

  const graphInputs = inputs.filter((input): input is Value => input !== undefined && !('tensor' in input));
  const fedInputs = [...new Map(graphInputs.map((value) => [value.name, value])).values()];
  const nodes = f.nodes.map(annotated);
  const rule = typeof op === 'function' ? undefined : ruleOf(nodes[0]!);
  const wrt = inputs.flatMap((input, i) => {
    const isGiven = input && !('tensor' in input) && !('same' in (check.inputs[i] as object));
    return isGiven && input.type === type && (!Array.isArray(rule) || rule[i]) ? [i] : [];
  });
  const types = new Map([...f.types, ...[...fedInputs, ...weights].map((value) => [value.name, value] as const)]);
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: 'g/' });
  const { stopped, given } = f;
  const backward = differentiate({ g, nodes, types, loss: loss.name, wrt: wrt.map((i) => `x${i}`), stopped, given });
  const missing = wrt.find((i) => !backward.gradients.has(`x${i}`));
  if (missing !== undefined) {
    throw new OnnxLoraError('PLUGIN_INVALID', `There is no gradient for input ${missing}. Its rule must emit one.`);
  }
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
      nodes: [...nodes, ...backward.recompute, ...backward.chain, ...backward.leaves],
      initializers: [...f.initializers, ...g.initializers],
    }),
    feeds,
    read,
    weights,
    gradients: new Map(wrt.map((i) => [i, backward.gradients.get(`x${i}`)!])),
  };
}

function annotator(operators: readonly OperatorRule[]): (node: NodeProto) => NodeProto {
  const rules = new Map(operators.map((rule) => [operatorName(rule.domain, rule.op), rule]));
  return (node) => {
    const known = rules.get(operatorName(node.domain, node.opType));
    return known ? { ...node, known } : node;
  };
}

/** @throws OnnxLoraError `PLUGIN_INVALID` for a gradient whose type or shape differs from its input's */
function requireLike(found: Tensor, { type, dims }: Tensor, inferred: Value, input: number): void {
  const isLike = found.type === type && found.dims.join() === dims.join();
  if (isLike && inferred.shape?.join() === dims.join()) return;
  const shown = (shape: Value['shape']): string => `[${shape?.join(', ') ?? '?'}]`;
  throw new OnnxLoraError(
    'PLUGIN_INVALID',
    `The gradient by input ${input} is ${found.type} ${shown(found.dims)}, and was inferred as ${shown(inferred.shape)}, but the input is ${type} ${shown(dims)}. Correct the rule, or the shapes that it infers.`,
  );
}

/** ⟨w, f(x)⟩, summed in float64 whatever the type of f. */
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

function compared(input: number, { data }: Tensor, expected: Float64Array, tolerance: number): OperatorGradient {
  const errors = Array.from(expected, (slope, i) => {
    const error = Math.abs(Number(data[i]) - slope);
    return Number.isNaN(error) ? Infinity : error;
  });
  const scale = expected.reduce((largest, slope) => Math.max(largest, Math.abs(slope)), 1);
  const worst = errors.reduce((at, each, i) => (each > errors[at]! ? i : at), 0);
  const error = (errors[worst] ?? 0) / scale;
  if (error < tolerance) return { input, error, tolerance };
  const problem = `by element ${worst} of input ${input} the rule gives ${Number(data[worst])}, the finite difference is ${expected[worst]}`;
  return { input, error, tolerance, problem };
}
