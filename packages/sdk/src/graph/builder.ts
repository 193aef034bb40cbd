/**
 * @file Emits nodes: `g.MatMul(a, b)` appends one and returns its output. Losses, adapters and gradients are written
 * with it. Every value carries its inferred type and shape.
 */

import { int64, type Tensor } from '../runtime/tensor.ts';
import { dataTypeNumber } from './dataType.ts';
import type { NodeProto, TensorProto } from './proto.ts';
import { numberTensor, tensorProto } from './tensorData.ts';
import { isStatic, type ValueType } from './value.ts';
import { attributeProto, type Attributes, float } from './attributes.ts';

/** A value of the graph under construction. */
export interface Value extends ValueType {
  /** The value's name in the graph. */
  readonly name: string;
}

/** The derivative of a value by another, known without differentiating; see {@link GraphBuilder.withGradient}. */
export interface CustomGradient {
  /** What the value is differentiated by. */
  readonly by: Value;
  /** The derivative, of the shape of `by`; the value is a scalar. */
  readonly gradient: Value;
}

/** Infers the outputs of a node; `ops/infer.ts` provides it. */
export type InferNode = (site: {
  node: NodeProto;
  inputs: readonly (ValueType | undefined)[];
  opset: number;
}) => readonly ValueType[];

/** What a builder starts from. */
export interface BuilderOptions {
  /** Version of the standard operator set that emitted nodes must follow. */
  readonly opset: number;
  /** Infers types and shapes of what is emitted. */
  readonly infer: InferNode;
  /** Prefix of the names of emitted nodes and values; must not occur in the graph yet. */
  readonly prefix: string;
}

/** An operand: a value, or a number that becomes a float constant. */
export type Operand = Value | number;

/** Operators of two operands, both of them needed; of others, but Loop, the first is. */
const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Equal', 'Less', 'Greater', 'And', 'MatMul']);

/** Emits nodes. One method per operator, spelled as ONNX spells it; shapes and axes are given as plain arrays. */
export class GraphBuilder {
  /** Nodes emitted so far, in order. */
  readonly nodes: NodeProto[] = [];
  /** Constants that the emitted nodes use. */
  readonly initializers: TensorProto[] = [];
  /** Values that gradients do not pass, by name. */
  readonly stopped: Set<string> = new Set();
  /** Derivatives that need not be found by differentiating, by the name of what was differentiated. */
  readonly given: Map<string, readonly CustomGradient[]> = new Map();
  /** Types of the emitted values and constants, by name. */
  readonly types: Map<string, ValueType> = new Map();
  /** Version of the standard operator set that emitted nodes follow. */
  readonly opset: number;
  readonly #infer: InferNode;
  readonly #prefix: string;
  /** Constants by what they hold, and how many nodes were emitted; one for all scopes of a builder. */
  #shared = { constants: new Map<string, Value>(), count: 0 };

  /** An empty builder, whose nodes are to be put into a graph of that opset. */
  constructor({ opset, infer, prefix }: BuilderOptions, around?: GraphBuilder) {
    this.opset = opset;
    this.#infer = infer;
    this.#prefix = prefix;
    if (!around) return;
    const { nodes, initializers, stopped, given, types } = around;
    Object.assign(this, { nodes, initializers, stopped, given, types });
    this.#shared = around.#shared;
  }

  /** This builder under another prefix: what it emits stands among this one's nodes, and its names say what it belongs to. */
  scope(prefix: string): GraphBuilder {
    return new GraphBuilder({ opset: this.opset, infer: this.#infer, prefix }, this);
  }

  /** A builder for the graph inside a node, such as a branch of If: it may read this one's values, and its names are new. */
  inner(name: string): GraphBuilder {
    return new GraphBuilder({ opset: this.opset, infer: this.#infer, prefix: `${this.#prefix}${name}/` });
  }

  /** Emits any node with one output. `undefined` omits an optional input. */
  emit(op: string, inputs: readonly (Operand | undefined)[], attributes: Attributes = {}, domain = ''): Value {
    return this.emitMany(op, inputs, 1, attributes, domain)[0]!;
  }

  /** Emits any node with `count` outputs. */
  emitMany(
    op: string,
    inputs: readonly (Operand | undefined)[],
    count: number,
    attributes: Attributes = {},
    domain = '',
  ): Value[] {
    const needed = op === 'Loop' ? 0 : BINARY.has(op) ? 2 : 1;
    if (inputs.slice(0, needed).includes(undefined)) throw new TypeError(`An operand of ${op} is undefined.`);
    const like = inputs.find((input): input is Value => typeof input === 'object');
    const values = inputs.map((input) => (typeof input === 'number' ? this.scalar(input, like?.type) : input));
    while (values.length > 0 && values.at(-1) === undefined) values.pop();
    const name = `${this.#prefix}${op}_${this.#shared.count++}`;
    const node: NodeProto = {
      name,
      opType: op,
      input: values.map((value) => value?.name ?? ''),
      output: Array.from({ length: count }, (_, i) => (count === 1 ? name : `${name}.${i}`)),
      attribute: Object.entries(attributes).flatMap(([key, value]) =>
        value === undefined ? [] : [attributeProto(key, value)],
      ),
      ...(domain ? { domain } : {}),
    };
    this.nodes.push(node);
    const types = this.#infer({ node, inputs: values, opset: this.opset });
    return node.output!.map((output, i) => {
      const { type, shape, ints } = types[i] ?? {};
      this.types.set(output, { type, shape, ints });
      return { name: output, type, shape, ints };
    });
  }

  /** A scalar constant; float32 unless told otherwise. */
  scalar(value: number, type: ValueType['type'] = 'float32'): Value {
    return this.constant(numberTensor(value, type, []));
  }

  /** A one-dimensional int64 constant, such as a shape or axes. */
  ints(values: readonly number[]): Value {
    return this.constant(int64(values, [values.length]));
  }

  /** A constant tensor; equal small ones are shared. */
  constant(tensor: Tensor): Value {
    const key = tensor.data.length <= 16 ? `${tensor.type}[${tensor.dims.join()}]${tensor.data.join()}` : undefined;
    const shared = key === undefined ? undefined : this.#shared.constants.get(key);
    if (shared) return shared;
    const name = `${this.#prefix}constant_${this.#shared.constants.size + this.initializers.length}`;
    this.initializers.push(tensorProto(name, tensor));
    const isInt = (tensor.type === 'int64' || tensor.type === 'bool') && tensor.dims.length <= 1;
    // Such as the scales of Resize.
    const isShort = tensor.type === 'float32' && tensor.dims.length === 1 && tensor.data.length <= 8;
    const value: Value = {
      name,
      type: tensor.type,
      shape: tensor.dims,
      ints: isInt || isShort ? Array.from(tensor.data, Number) : undefined,
    };
    this.types.set(name, value);
    if (key !== undefined) this.#shared.constants.set(key, value);
    return value;
  }

  // Elementwise, with numpy broadcasting.
  /** `a + b`. */
  Add(a: Operand, b: Operand): Value { return this.emit('Add', [a, b]); } // prettier-ignore
  /** `a − b`. */
  Sub(a: Operand, b: Operand): Value { return this.emit('Sub', [a, b]); } // prettier-ignore
  /** `a · b`, element by element. */
  Mul(a: Operand, b: Operand): Value { return this.emit('Mul', [a, b]); } // prettier-ignore
  /** `a ÷ b`. */
  Div(a: Operand, b: Operand): Value { return this.emit('Div', [a, b]); } // prettier-ignore
  /** `a` to the power of `b`. */
  Pow(a: Operand, b: Operand): Value { return this.emit('Pow', [a, b]); } // prettier-ignore
  /** The smaller of `a` and `b`. */
  Min(a: Operand, b: Operand): Value { return this.emit('Min', [a, b]); } // prettier-ignore
  /** The larger of `a` and `b`. */
  Max(a: Operand, b: Operand): Value { return this.emit('Max', [a, b]); } // prettier-ignore
  /** `−x`. */
  Neg(x: Value): Value { return this.emit('Neg', [x]); } // prettier-ignore
  /** `|x|`. */
  Abs(x: Value): Value { return this.emit('Abs', [x]); } // prettier-ignore
  /** `eˣ`. */
  Exp(x: Value): Value { return this.emit('Exp', [x]); } // prettier-ignore
  /** The natural logarithm of x. */
  Log(x: Value): Value { return this.emit('Log', [x]); } // prettier-ignore
  /** `√x`. */
  Sqrt(x: Value): Value { return this.emit('Sqrt', [x]); } // prettier-ignore
  /** `1 ÷ x`. */
  Reciprocal(x: Value): Value { return this.emit('Reciprocal', [x]); } // prettier-ignore
  /** Gauss's error function of x. */
  Erf(x: Value): Value { return this.emit('Erf', [x]); } // prettier-ignore
  /** The hyperbolic tangent of x. */
  Tanh(x: Value): Value { return this.emit('Tanh', [x]); } // prettier-ignore
  /** `1 ÷ (1 + e⁻ˣ)`. */
  Sigmoid(x: Value): Value { return this.emit('Sigmoid', [x]); } // prettier-ignore
  /** `ln(1 + eˣ)`. */
  Softplus(x: Value): Value { return this.emit('Softplus', [x]); } // prettier-ignore
  /** `max(x, 0)`. */
  Relu(x: Value): Value { return this.emit('Relu', [x]); } // prettier-ignore
  /** The sine of x. */
  Sin(x: Value): Value { return this.emit('Sin', [x]); } // prettier-ignore
  /** The cosine of x. */
  Cos(x: Value): Value { return this.emit('Cos', [x]); } // prettier-ignore
  /** Where `a = b`: bool. */
  Equal(a: Operand, b: Operand): Value { return this.emit('Equal', [a, b]); } // prettier-ignore
  /** Where `a < b`: bool. */
  Less(a: Operand, b: Operand): Value { return this.emit('Less', [a, b]); } // prettier-ignore
  /** Where `a > b`: bool. */
  Greater(a: Operand, b: Operand): Value { return this.emit('Greater', [a, b]); } // prettier-ignore
  /** Where `a ≥ b`: bool. */
  GreaterOrEqual(a: Operand, b: Operand): Value { return this.opset < 12 ? this.Not(this.Less(a, b)) : this.emit('GreaterOrEqual', [a, b]); } // prettier-ignore
  /** Where `a ≤ b`: bool. */
  LessOrEqual(a: Operand, b: Operand): Value { return this.opset < 12 ? this.Not(this.Greater(a, b)) : this.emit('LessOrEqual', [a, b]); } // prettier-ignore
  /** The negation of a bool. */
  Not(x: Value): Value { return this.emit('Not', [x]); } // prettier-ignore
  /** Where both bools hold. */
  And(a: Value, b: Value): Value { return this.emit('And', [a, b]); } // prettier-ignore
  /** `yes` where the bool `condition` holds, else `no`; a number takes the type of the other. */
  Where(condition: Value, yes: Operand, no: Operand): Value {
    const type = (typeof yes === 'object' ? yes : typeof no === 'object' ? no : undefined)?.type;
    const operand = (value: Operand): Value => (typeof value === 'number' ? this.scalar(value, type) : value);
    return this.emit('Where', [condition, operand(yes), operand(no)]);
  }
  /** x in another element type, by its number in onnx.proto (1 is float32, 7 is int64). */
  Cast(x: Value, to: number): Value { return this.emit('Cast', [x], { to }); } // prettier-ignore
  /** x under another name. */
  Identity(x: Value): Value { return this.emit('Identity', [x]); } // prettier-ignore

  /** The same value as a constant for differentiation: no gradient flows through it. */
  stopGradient(x: Value): Value {
    const y = this.Identity(x);
    this.stopped.add(y.name);
    return y;
  }

  /**
   * The same value with derivatives that are known: gradients go to `by` as the gradient of the value times `gradient`,
   * and to nothing else that it was computed from. An element of `by` may influence only the one element of the value that
   * broadcasts onto it: a value `[rows, 1]` has a gradient `[rows, classes]` by what it was reduced from.
   */
  withGradient(x: Value, gradients: readonly CustomGradient[]): Value {
    const y = this.Identity(this.stopGradient(x));
    this.given.set(y.name, gradients);
    return y;
  }

  // Products.
  /** The matrix product, over leading batch dimensions as numpy's `matmul`. */
  MatMul(a: Value, b: Value): Value { return this.emit('MatMul', [a, b]); } // prettier-ignore
  /** `alpha · op(a) · op(b) + beta · c` of two-dimensional values. */
  Gemm(
    a: Value,
    b: Value,
    c?: Value,
    attributes: { transA?: boolean; transB?: boolean; alpha?: number; beta?: number } = {},
  ): Value {
    const { transA, transB, alpha, beta } = attributes;
    // The addend is optional since opset 11. WebGPU ends the process at one without dimensions.
    const addend = c ?? (this.opset < 11 ? this.constant(numberTensor(0, a.type, [1])) : undefined);
    return this.emit('Gemm', [a, b, addend], {
      transA: transA ? 1 : undefined,
      transB: transB ? 1 : undefined,
      alpha: alpha === undefined ? undefined : float(alpha),
      beta: beta === undefined ? undefined : float(beta),
    });
  }

  // Reductions. Axes are an attribute or an input, by opset.
  /** Sums over `axes`. */
  ReduceSum(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceSum', 13, x, axes, keepdims); } // prettier-ignore
  /** Means over `axes`. */
  ReduceMean(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceMean', 18, x, axes, keepdims); } // prettier-ignore
  /** Maxima over `axes`. */
  ReduceMax(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceMax', 18, x, axes, keepdims); } // prettier-ignore
  /** Minima over `axes`. */
  ReduceMin(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceMin', 18, x, axes, keepdims); } // prettier-ignore
  /** Sums of squares over `axes`. */
  ReduceSumSquare(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceSumSquare', 18, x, axes, keepdims); } // prettier-ignore
  /** Products over `axes`. */
  ReduceProd(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceProd', 18, x, axes, keepdims); } // prettier-ignore
  /** Euclidean norms over `axes`. */
  ReduceL2(x: Value, axes: readonly number[], keepdims: boolean): Value { return this.#reduce('ReduceL2', 18, x, axes, keepdims); } // prettier-ignore
  /** `eˣ` divided by its sum along `axis`. */
  Softmax(x: Value, axis: number): Value { return this.emit('Softmax', [x], { axis }); } // prettier-ignore

  // Movement.
  /** x in another shape; one dimension may be -1, and 0 keeps the dimension of x. */
  Reshape(x: Value, shape: readonly number[] | Value): Value {
    return this.emit('Reshape', [x, 'name' in shape ? shape : this.ints(shape)]);
  }
  /** x with its axes in the order `perm`. */
  Transpose(x: Value, perm: readonly number[]): Value { return this.emit('Transpose', [x], { perm }); } // prettier-ignore
  /** Values one after the other along `axis`. */
  Concat(values: readonly Value[], axis: number): Value { return this.emit('Concat', values, { axis }); } // prettier-ignore
  /** x broadcast to a shape. */
  Expand(x: Value, shape: readonly number[] | Value): Value {
    return this.emit('Expand', [x, 'name' in shape ? shape : this.ints(shape)]);
  }
  /** The shape of x: int64 `[rank]`. */
  Shape(x: Value): Value { return this.emit('Shape', [x]); } // prettier-ignore
  /** The slices of x along `axis` that `indices` name. */
  Gather(x: Value, indices: Value, axis: number): Value { return this.emit('Gather', [x, indices], { axis }); } // prettier-ignore
  /** The elements of x along `axis` that `indices` name; as many as there are indices. */
  GatherElements(x: Value, indices: Value, axis: number): Value {
    const { shape } = x;
    if (this.opset >= 11 || !isStatic(shape) || axis !== shape.length - 1)
      return this.emit('GatherElements', [x, indices], { axis });
    // The operator is of opset 11. Along the last axis an element's place in all of x is its row's plus its own.
    const [rows, width] = [shape.slice(0, -1), shape.at(-1)!];
    const starts = Array.from({ length: rows.reduce((a, b) => a * b, 1) }, (_, i) => i * width);
    const places = this.Add(this.Cast(indices, dataTypeNumber('int64')), this.constant(int64(starts, [...rows, 1])));
    return this.Gather(this.Reshape(x, [-1]), places, 0);
  }
  /** x without its dimensions of size 1 at `axes`. */
  Squeeze(x: Value, axes: readonly number[]): Value { return this.#axes('Squeeze', x, axes); } // prettier-ignore
  /** x with dimensions of size 1 inserted at `axes`. */
  Unsqueeze(x: Value, axes: readonly number[]): Value { return this.#axes('Unsqueeze', x, axes); } // prettier-ignore
  /** `x[starts:ends:steps]` along `axes`; negative numbers count from the end. */
  Slice(
    x: Value,
    starts: readonly number[],
    ends: readonly number[],
    axes: readonly number[],
    steps?: readonly number[],
  ): Value {
    if (this.opset < 10) return this.emit('Slice', [x], { starts, ends, axes });
    return this.emit('Slice', [x, this.ints(starts), this.ints(ends), this.ints(axes), steps && this.ints(steps)]);
  }
  /** Pads, with zeros or a number in the type of x; negative numbers cut. `pads` as ONNX has it: all begins, then all ends. */
  Pad(x: Value, pads: readonly number[], fill = 0): Value {
    if (this.opset < 11) return this.emit('Pad', [x], { pads, ...(fill === 0 ? {} : { value: float(fill) }) });
    return this.emit('Pad', [x, this.ints(pads), ...(fill === 0 ? [] : [this.scalar(fill, x.type)])]);
  }
  /** Parts of x of these sizes along `axis`. */
  Split(x: Value, sizes: readonly number[], axis: number): Value[] {
    return this.opset < 13
      ? this.emitMany('Split', [x], sizes.length, { axis, split: sizes })
      : this.emitMany('Split', [x, this.ints(sizes)], sizes.length, { axis });
  }

  #reduce(op: string, inputSince: number, x: Value, axes: readonly number[], keepdims: boolean): Value {
    const keep = { keepdims: keepdims ? 1 : 0 };
    return this.opset >= inputSince ? this.emit(op, [x, this.ints(axes)], keep) : this.emit(op, [x], { ...keep, axes });
  }

  #axes(op: string, x: Value, axes: readonly number[]): Value {
    return this.opset >= 13 ? this.emit(op, [x, this.ints(axes)]) : this.emit(op, [x], { axes });
  }
}
