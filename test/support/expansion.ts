/** @file Holds the expansion of a fused operator against the operator itself, both run by ONNX Runtime. */

import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../packages/sdk/src/graph/builder.ts';
import type { Attributes } from '../../packages/sdk/src/graph/attributes.ts';
import { dataTypeNumber } from '../../packages/sdk/src/graph/dataType.ts';
import type { AttributeProto, NodeProto, TensorProto } from '../../packages/sdk/src/graph/proto.ts';
import { tensorProto } from '../../packages/sdk/src/graph/tensorData.ts';
import { type Dim, isStatic, type ValueType } from '../../packages/sdk/src/graph/value.ts';
import { type Expansion, expandNode } from '../../packages/sdk/src/ops/expand/index.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import { constantType } from '../../packages/sdk/src/ops/inference/sources.ts';
import { Random } from '../../packages/sdk/src/runtime/random.ts';
import { sizeOf, type Tensor, tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { difference, modelOf, runOnce } from './graphs.ts';

/** An input of the node: random floats, or values that the case fixes. */
export interface Operand {
  /** Sizes, or names of sizes that {@link Fused.sizes} gives. */
  readonly shape: readonly Dim[];
  /** Kept in the file instead of fed. */
  readonly constant?: boolean;
  /** ONNX's number of a 4-bit type: random values kept in the file, since JavaScript has no such arrays. */
  readonly fourBits?: 21 | 22;
  /** The values; floats over [−1, 1) by default. */
  readonly values?: (random: Random, dims: readonly number[]) => Tensor;
}

/** A node to expand and its feeds. */
export interface Fused {
  readonly op: string;
  /** com.microsoft by default. */
  readonly domain?: string;
  /** 17 unless told otherwise. */
  readonly opset?: number;
  readonly attributes?: Attributes;
  /** Attributes that a plain value cannot say, such as lists of floats. */
  readonly lists?: readonly AttributeProto[];
  readonly inputs: readonly (Operand | undefined)[];
  /** Which outputs the node has; only the first by default. */
  readonly outputs?: readonly boolean[];
  readonly sizes?: Readonly<Record<string, number>>;
}

/** Random floats that are fed. */
export const x = (...shape: Dim[]): Operand => ({ shape });
/** Random floats that the file holds. */
export const w = (...shape: Dim[]): Operand => ({ shape, constant: true });
/** Fed integers. */
export const integers = (
  type: 'int32' | 'int64' | 'uint8' | 'int8' | 'bool',
  shape: readonly Dim[],
  values: readonly number[],
): Operand => ({
  shape,
  values: (_, dims) => {
    const data = values.map(Number);
    if (type === 'int64') return tensor(type, BigInt64Array.from(data, BigInt), dims);
    if (type === 'int32') return tensor(type, Int32Array.from(data), dims);
    return tensor(type, type === 'int8' ? Int8Array.from(data) : Uint8Array.from(data), dims);
  },
});
/** Integers from `low` to `high − 1` in the file. */
export const bytes = (type: 'int8' | 'uint8', low: number, high: number, ...shape: Dim[]): Operand => ({
  shape,
  constant: true,
  values: (random, dims) => {
    const data = Array.from({ length: sizeOf(dims) }, () => low + random.index(high - low));
    return tensor(type, type === 'int8' ? Int8Array.from(data) : Uint8Array.from(data), dims);
  },
});
/** Random floats from `low` to `high`. */
export const between = (low: number, high: number, operand: Operand): Operand => ({
  ...operand,
  values: (random, dims) => floats(dims, () => random.uniform(low, high)),
});
/** The operand fed instead of kept in the file. */
export const fed = (operand: Operand): Operand => ({ ...operand, constant: false });
/** The operand kept in the file instead of fed. */
export const fixed = (operand: Operand): Operand => ({ ...operand, constant: true });

function floats(dims: readonly number[], next: () => number): Tensor {
  return tensor('float32', Float32Array.from({ length: sizeOf(dims) }, next), dims);
}

/** How the expansion of a case went. */
export interface Comparison {
  /** The largest difference of any output; Infinity for a wrong type or shape. */
  readonly error: number;
  /** Outputs whose inferred type or shape, of the node or of its expansion, is missing or wrong. */
  readonly misjudged: readonly string[];
  readonly expansion: Expansion;
}

/**
 * Expands a node with named sizes left open, or with all sizes known, and runs both graphs.
 *
 * @returns undefined where the node is not expanded
 */
export async function compareExpansion(fused: Fused, open: boolean, seed = 1): Promise<Comparison | undefined> {
  const { node, types, constants, opset, inputs, feeds, initializers } = prepare(fused, open, seed);
  const expansion = expandNode(node, { types, constants, opset, prefix: `${node.name}/` });
  if (!expansion) return undefined;
  const outputs = node.output!.filter(Boolean);
  const common = { opset, inputs, outputs };
  const model = modelOf({ ...common, nodes: [node], initializers });
  // ONNX Runtime cannot infer the type of some outputs.
  for (const output of model.graph!.output!)
    output.type = { tensorType: { elemType: typeNumber(expansion, output.name!) } };
  const expected = await runOnce(model, feeds);
  const merged = [...initializers, ...expansion.initializers];
  // As outputs, values cannot be fused back into the operator of the comparison.
  const all = [...new Set([...outputs, ...expansion.nodes.flatMap(({ output }) => output!.filter(Boolean))])];
  const parts = { opset, inputs, outputs: all, nodes: expansion.nodes, initializers: merged };
  const found = await runOnce(modelOf(parts), feeds);
  const ofNode = inferNode({ node, inputs: node.input!.map((name) => (name ? types.get(name) : undefined)), opset });
  const misjudged = outputs.filter((name) => {
    const tensor = expected[name]!;
    const inferred = [expansion.types.get(name), ofNode[node.output!.indexOf(name)]];
    return inferred.some((type) => !type || !describes(type, tensor));
  });
  const errors = outputs.map((name) => difference(found[name], expected[name]));
  return { error: Math.max(...errors), misjudged, expansion };
}

/** Whether an inferred type has the tensor's type and rank, and each known size. */
function describes({ type, shape }: ValueType, { type: actual, dims }: Tensor): boolean {
  return (
    type === actual &&
    shape?.length === dims.length &&
    shape.every((dim, i) => typeof dim === 'string' || dim === dims[i])
  );
}

function typeNumber({ types }: Expansion, name: string): number {
  return dataTypeNumber(types.get(name)?.type ?? 'float32');
}

/** The expansion alone, for forms that ONNX Runtime does not run on the CPU. */
export function expansionOf(fused: Fused, open = false): Expansion | undefined {
  const { node, types, constants, opset } = prepare(fused, open, 1);
  return expandNode(node, { types, constants, opset, prefix: `${node.name}/` });
}

/** Runs the expansion of a node. */
export async function runExpanded(
  fused: Fused,
  seed = 1,
): Promise<{ feeds: Record<string, Tensor>; outputs: Record<string, Tensor> }> {
  const { node, types, constants, opset, inputs, feeds, initializers, values } = prepare(fused, false, seed);
  const expansion = expandNode(node, { types, constants, opset, prefix: `${node.name}/` })!;
  const merged = [...initializers, ...expansion.initializers];
  const names = node.output!.filter(Boolean);
  const model = modelOf({ opset, inputs, outputs: names, nodes: expansion.nodes, initializers: merged });
  return { feeds: values, outputs: await runOnce(model, feeds) };
}

interface Prepared {
  readonly node: NodeProto;
  readonly types: ReadonlyMap<string, ValueType>;
  readonly constants: ReadonlyMap<string, TensorProto>;
  readonly opset: number;
  readonly inputs: readonly Value[];
  readonly feeds: Record<string, Tensor>;
  readonly initializers: readonly TensorProto[];
  readonly values: Record<string, Tensor>;
}

function prepare(fused: Fused, open: boolean, seed: number): Prepared {
  const { op, domain = 'com.microsoft', opset = 17, attributes = {}, sizes = {} } = fused;
  const random = new Random(seed);
  const inputs: Value[] = [];
  const initializers: TensorProto[] = [];
  const feeds: Record<string, Tensor> = {};
  const values: Record<string, Tensor> = {};
  const names = fused.inputs.map((operand, i) => {
    if (!operand) return '';
    const dims = operand.shape.map((dim) => (typeof dim === 'string' ? sizes[dim]! : dim));
    if (operand.fourBits) {
      const rawData = Uint8Array.from({ length: Math.ceil(sizeOf(dims) / 2) }, () => random.index(256));
      initializers.push({ name: `in${i}`, dims, dataType: operand.fourBits, rawData });
      return `in${i}`;
    }
    const value = operand.values?.(random, dims) ?? floats(dims, () => random.uniform(-1, 1));
    const name = `in${i}`;
    values[name] = value;
    if (operand.constant) initializers.push(tensorProto(name, value));
    else {
      inputs.push({ name, type: value.type, shape: open ? operand.shape : dims });
      feeds[name] = value;
    }
    return name;
  });
  const emitted = new GraphBuilder({ opset, infer: inferNode, prefix: '' });
  emitted.emit(
    op,
    names.map((name) => (name ? { name } : undefined)),
    attributes,
    domain,
  );
  const node: NodeProto = {
    ...emitted.nodes[0]!,
    name: '/layer/Fused',
    attribute: [...(emitted.nodes[0]!.attribute ?? []), ...(fused.lists ?? [])],
    output: (fused.outputs ?? [true]).map((wanted, i) => (wanted ? `out${i}` : '')),
  };
  const types = new Map<string, ValueType>(inputs.map((value) => [value.name, value]));
  for (const each of initializers) types.set(each.name!, constantType(each));
  const constants = new Map(initializers.map((each) => [each.name!, each]));
  return { node, types, constants, opset, inputs, feeds, initializers, values };
}

/** Tests of one node each: with named sizes left open and with all sizes known, to `tolerance` of the largest number. */
export function describeExpansions(cases: Readonly<Record<string, Fused>>, tolerance = 1e-5): void {
  describe.each(Object.entries(cases))('%s', (_, fused) => {
    const opsets = fused.opset === undefined && fused.domain === undefined ? [17, 11] : [fused.opset ?? 17];
    const forms = (fused.sizes ? [true, false] : [false]).flatMap((open) =>
      opsets.map((opset) => [open, opset] as const),
    );
    test.each(forms)('sizes open: %s, opset %i', async (open, opset) => {
      const found = await compareExpansion({ ...fused, opset }, open);
      expect(found, 'is expanded').toBeDefined();
      expect(found!.error).toBeLessThan(tolerance);
      expect(found!.misjudged).toEqual([]);
      if (!open) expect([...found!.expansion.types.values()].filter(({ shape }) => !isStatic(shape))).toEqual([]);
      // Before opset 13 the standard DequantizeLinear has no axis.
      const others = found!.expansion.nodes.filter(
        ({ domain, opType }) => domain && !(opset < 13 && opType === 'DequantizeLinear'),
      );
      expect(others).toEqual([]);
    });
  });
}
