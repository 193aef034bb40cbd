/** @file Joins the projections of a model's attentions into one layer each, as other implementations of it have them. */

import { float32 } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import { type NodeProto, inferNode, type ModelProto } from '@onnx-lora/sdk/plugin';
import type { Site } from '@onnx-lora/sdk/core';

/** How queries, keys and values are joined, and taken apart again; `int8` as `split`, of codes with a scale per output. */
export type PackedForm = 'split' | 'unnamed' | 'stacked' | 'sliced' | 'heads' | 'gemm' | 'int8';

export const packedForms: readonly PackedForm[] = ['split', 'unnamed', 'stacked', 'sliced', 'heads', 'gemm'];

type Graphed = ModelProto & { readonly graph: NonNullable<ModelProto['graph']> };

const roles = [/\.(?:query|q_proj|q)$/, /\.(?:key|k_proj|k)$/, /\.(?:value|v_proj|v)$/];

/**
 * The model with a layer `qkv` for the three projections of each attention.
 *
 * @param sites of the model, whose weights `[in, out]` MatMul reads
 * @param heads of each attention
 */
export function packAttention(model: Graphed, sites: readonly Site[], form: PackedForm, heads: number): Graphed {
  const attentions = new Map<string, Site[]>();
  for (const site of sites) {
    const role = roles.findIndex((each) => each.test(site.path));
    const own = attentions.get(site.input) ?? [];
    if (role >= 0) attentions.set(site.input, own.toSpliced(role, 0, site));
  }
  const opset = Number(model.opsetImport?.find(({ domain = '' }) => domain === '')?.version ?? 17);
  const before = new Map<NodeProto, readonly NodeProto[]>();
  const gone = new Set<NodeProto>();
  const read = new Map<string, string>();
  const constants: NonNullable<ModelProto['graph']>['initializer'] = [];
  for (const [input, triple] of attentions) {
    if (triple.length !== 3) throw new Error(`${input} is read by ${triple.map(({ path }) => path).join(', ')}.`);
    const parent = triple[0]!.path.replace(/\.[^.]+$/, '');
    const prefix = form === 'unnamed' ? `fused_${before.size}_` : `/${parent.replaceAll('.', '/')}/qkv/`;
    const g = new GraphBuilder({ opset, infer: inferNode, prefix });
    const outputs = packed(g, { name: input, type: 'float32' }, triple, form, heads);
    // Without names, those that read the projections read other values.
    if (form === 'unnamed') outputs.forEach(({ name }, i) => read.set(triple[i]!.output, name));
    const renamed = new Map(outputs.map(({ name }, i) => [name, form === 'unnamed' ? name : triple[i]!.output]));
    const nodes = g.nodes.map((node) => ({ ...node, output: node.output!.map((name) => renamed.get(name) ?? name) }));
    const first = model.graph.node!.find((node) => triple.some((site) => site.node === node))!;
    before.set(first, nodes);
    constants.push(...g.initializers);
    for (const { nodes: own, bias } of triple)
      for (const node of [...own, ...(bias ? [bias.node] : [])]) gone.add(node);
  }
  return {
    ...model,
    graph: {
      ...model.graph,
      node: model.graph.node!.flatMap((node) => {
        const input = (node.input ?? []).map((name) => read.get(name) ?? name);
        return [...(before.get(node) ?? []), ...(gone.has(node) ? [] : [{ ...node, input }])];
      }),
      initializer: [...(model.graph.initializer ?? []), ...constants],
    },
  };
}

/** The values that the projections yield, of one product. */
function packed(g: GraphBuilder, x: Value, triple: readonly Site[], form: PackedForm, heads: number): Value[] {
  const [out = 0, width = 0] = triple[0]!.weightShape;
  const size = out / heads;
  // Which column of the joined weight holds output o of projection i.
  const column = (i: number, o: number): number =>
    form === 'heads' ? Math.floor(o / size) * 3 * size + i * size + (o % size) : i * out + o;
  const isGemm = form === 'gemm';
  const weight = new Float32Array(width * 3 * out);
  const bias = new Float32Array(3 * out);
  triple.forEach((site, i) => {
    const [own, added] = [site.weight.stored.read(), site.bias?.stored.read()];
    for (let o = 0; o < out; o++) {
      const at = column(i, o);
      bias[at] = added?.[o] ?? 0;
      for (let k = 0; k < width; k++) {
        const value = site.weight.layout === 'in-out' ? own[k * out + o]! : own[o * width + k]!;
        weight[isGemm ? at * width + k : k * 3 * out + at] = value;
      }
    }
  });
  const dims = isGemm ? [3 * out, width] : [width, 3 * out];
  const W = form === 'int8' ? coded(g, weight, dims as [number, number]) : g.constant(float32(weight, dims));
  const b = g.constant(float32(bias, [3 * out]));
  if (isGemm) {
    const rows = g.emit('Gemm', [g.Reshape(x, [-1, width]), W, b], { transB: 1 });
    const leading = g.Slice(g.Shape(x), [0], [2], [0]);
    return g.Split(g.Reshape(rows, g.Concat([leading, g.ints([3 * out])], 0)), [out, out, out], 2);
  }
  const bare = g.MatMul(x, W);
  const product = triple[0]!.bias ? g.Add(bare, b) : bare;
  switch (form) {
    case 'stacked': {
      const parts = g.Transpose(g.Reshape(product, [0, 0, 3, out]), [2, 0, 1, 3]);
      return [0, 1, 2].map((i) => g.Gather(parts, g.scalar(i, 'int64'), 0));
    }
    case 'sliced':
      return [0, 1, 2].map((i) => g.Slice(product, [i * out], [i === 2 ? 2 ** 40 : (i + 1) * out], [-1]));
    case 'heads': {
      const parts = g.Split(g.Reshape(product, [0, 0, heads, 3, size]), [1, 1, 1], 3);
      return parts.map((part) => g.Reshape(part, [0, 0, out]));
    }
    default:
      return g.Split(product, [out, out, out], 2);
  }
}

/** A weight `[in, out]` as 8-bit codes with a scale for each output. */
function coded(g: GraphBuilder, weight: Float32Array, [rows, columns]: readonly [number, number]): Value {
  const scales = Float32Array.from({ length: columns }, (_, column) =>
    Math.max(...Array.from({ length: rows }, (__, row) => Math.abs(weight[row * columns + column]!) / 127)),
  );
  const codes = Int8Array.from(weight, (value, i) => Math.round(value / scales[i % columns]!));
  const stored = g.constant({ type: 'int8', dims: [rows, columns], data: codes });
  return g.emit('DequantizeLinear', [stored, g.constant(float32(scales, [columns]))], { axis: 1 });
}
