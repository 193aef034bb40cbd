/** @file The tuner of adapters that are no plain LoRA: every form of LyCORIS, with the file's own tensors. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, TargetLayer, TensorSpec, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { Role } from './keys.ts';
import { type Form, formOf, type RoleShapes, shapeFault } from './forms.ts';

/** `peft_type` of these adapters, which PEFT itself does not know. */
export const LYCORIS = 'LYCORIS';

/** Tensor that holds the rows of a fused layer that are this layer: from, to, and of how many. */
export const ROWS = 'rows';

const size = (dims: readonly number[]): number => dims.reduce((all, dim) => all * dim, 1);

/**
 * LyCORIS's forms, mixed as a file mixes them: LoRA with cores and DoRA's scales, LoHa, LoKr, whole differences, IA3.
 * The tensors of a module are those of the file, so that they are written back as they came.
 * @see https://arxiv.org/abs/2309.14859
 */
export const lycoris: Tuner = {
  name: 'lycoris',
  peftType: LYCORIS,
  paper: 'https://arxiv.org/abs/2309.14859',
  description: 'Adapters of LyCORIS files: LoCon with cores, LoHa, LoKr, whole differences, IA3, scales of DoRA',
  defaults: {},
  kinds: ['linear', 'conv1d', 'conv2d'],
  tune: (layer, _settings, _layers, saved, read) => {
    if (!saved) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The tuner "lycoris" reads files of LyCORIS and does not begin adapters. Train with "lora", "loha" or "lokr".`,
      );
    }
    const { [ROWS]: rowsShape, ...shapes } = saved as RoleShapes & { readonly [ROWS]?: readonly number[] };
    const rows = rowsShape ? Array.from(read!(ROWS)!.data as BigInt64Array, Number) : undefined;
    // A fused layer's change has the rows of all of its parts.
    const weight = rows ? [rows[2]!, ...layer.weightShape.slice(1)] : layer.weightShape;
    const fault = shapeFault(shapes, weight);
    if (fault)
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `${fault.role} of "${layer.path}" ${fault.problem}. Use the base model that the adapter was trained on.`,
      );
    if (shapes.diff_b && !layer.bias)
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `diff_b of "${layer.path}" changes a bias, and the layer has none. Use the base model that the adapter was trained on.`,
      );
    const form = formOf(shapes)!;
    const hasScale = shapes.dora_scale !== undefined;
    const isByInput = shapes.dora_scale?.[0] === 1 && weight[0] !== 1;
    if (isByInput && rows)
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `dora_scale of "${layer.path}" is one per input, whose norms are those of a fused layer. Save the adapter with the parts of the layer apart.`,
      );
    const flags = { onInput: shapes.on_input ? Number(read!('on_input')!.data[0]) === 1 : undefined };
    const change = (g: GraphBuilder, t: ByTensor<Value>, own: () => Value): Value => {
      const all = g.Reshape(scaled(g, form, shapes, t, form.delta(g, t, weight, own, flags)), weight);
      const part = rows ? g.Slice(all, [rows[0]!], [rows[1]!], [0]) : all;
      if (!hasScale) return part;
      const scale = isByInput || !rows ? t['dora_scale']! : g.Slice(t['dora_scale']!, [rows[0]!], [rows[1]!], [0]);
      return g.Sub(decomposed(g, g.Add(own(), part), scale, isByInput), own());
    };
    return {
      tensors: {
        ...Object.fromEntries(Object.entries(shapes).map(([role, dims]) => [role, role === 'on_input' ? flag(dims) : spec(dims, role === 'alpha')])), // prettier-ignore
        ...(shapes.dora_scale ? { dora_scale: { ...spec(shapes.dora_scale, false), identity: () => norms(layer, shapes.dora_scale!, isByInput, rows) } } : {}), // prettier-ignore
        ...(rows ? { [ROWS]: { ...flag([3]), integers: { type: 'int64' as const, below: rows[2]! + 1 } } } : {}),
      },
      // The output is linear in one factor, so that an adapter can be weighted; not after DoRA's norm.
      ...(hasScale ? {} : { linearIn: linear[form.name].filter((role) => shapes[role]) }),
      ...(hasScale || form.name === 'IA3' ? { readsWeight: true } : {}),
      delta: change,
      ...(shapes.diff_b ? { biasDelta: (g: GraphBuilder, t: ByTensor<Value>) => biasChange(g, t['diff_b']!, layer.weightShape[0]!, rows) } : {}), // prettier-ignore
    };
  },
};

function biasChange(g: GraphBuilder, all: Value, out: number, rows: readonly number[] | undefined): Value {
  const flat = g.Reshape(all, [rows ? rows[2]! : out]);
  return rows ? g.Slice(flat, [rows[0]!], [rows[1]!], [0]) : flat;
}

/** Tensors in which the change is linear together: of each form one factor. */
const linear: Readonly<Record<Form['name'], readonly Role[]>> = {
  LoRA: ['lora_up', 'diff_b'],
  LoHa: ['hada_w1_a', 'diff_b'],
  LoKr: ['lokr_w1', 'lokr_w1_a', 'diff_b'],
  full: ['diff', 'diff_b'],
  IA3: ['ia3_weight'],
};

/** Times alpha / rank, and LyCORIS's learned scalar. */
function scaled(g: GraphBuilder, form: Form, shapes: RoleShapes, t: ByTensor<Value>, delta: Value): Value {
  const r = form.rank(shapes);
  const one = (value: Value): Value => g.Reshape(value, [1]);
  const byAlpha = r !== undefined && t['alpha'] ? g.Mul(delta, g.Mul(one(t['alpha']), 1 / r)) : delta;
  return t['scalar'] ? g.Mul(byAlpha, one(t['scalar'])) : byAlpha;
}

/** DoRA: the direction of V times the scale, per output where the scale is `[out, 1]`, per input where `[1, in]`. */
function decomposed(g: GraphBuilder, v: Value, scale: Value, isByInput: boolean): Value {
  const dims = v.shape as readonly number[];
  const axis = isByInput ? 1 : 0;
  const others = dims.map((_, i) => i).filter((i) => i !== axis);
  const norm = g.Sqrt(g.ReduceSum(g.Mul(v, v), others, true));
  const along = dims.map((dim, i) => (i === axis ? dim : 1));
  return g.Mul(v, g.Div(g.Reshape(scale, along), norm));
}

/** The base weight's norms, at which the scale of DoRA changes nothing; in the place of a part's rows. */
function norms(
  { weight, weightShape }: TargetLayer,
  dims: readonly number[],
  isByInput: boolean,
  rows: readonly number[] | undefined,
): Float32Array {
  const own = weight();
  const [out, inputs, ...kernel] = weightShape as [number, number, ...number[]];
  const [window, first] = [size(kernel), isByInput ? 0 : (rows?.[0] ?? 0)];
  const squares = new Float64Array(size(dims));
  own.forEach((value, i) => {
    const at = isByInput ? Math.floor(i / window) % inputs : first + Math.floor(i / (inputs * window));
    squares[at] = squares[at]! + value * value;
  });
  return Float32Array.from(squares, (value, i) =>
    isByInput || (i >= first && i < first + out) ? Math.sqrt(value) : 1,
  );
}

function spec(dims: readonly number[], isFrozen: boolean): TensorSpec {
  const zeros = (): Float32Array => new Float32Array(size(dims));
  return { dims, ...(isFrozen ? { role: 'frozen' } : {}), init: zeros, identity: zeros };
}

function flag(dims: readonly number[]): TensorSpec {
  const zeros = (): BigInt64Array => new BigInt64Array(size(dims));
  return { dims, role: 'frozen', integers: { type: 'int64', below: 2 }, init: zeros, identity: zeros };
}
