/** @file Graph builder: `g.MatMul(a, b)` appends a node and returns its typed output. */

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

/** A known derivative of a value; see {@link GraphBuilder.withGradient}. */
export interface CustomGradient {
  /** The value to differentiate by. */
  readonly by: Value;
  /** The derivative, in the shape of `by`; the value is a scalar. */
  readonly gradient: Value;
}

/** Infers the outputs of a node; `ops/infer.ts` implements it. */
export type InferNode = (site: {
  node: NodeProto;
  inputs: readonly (ValueType | undefined)[];
  opset: number;
}) => readonly ValueType[];

/** Options of a builder. */
export interface BuilderOptions {
  /** Opset version of the emitted nodes. */
  readonly opset: number;
  /** Infers types and shapes of emitted nodes. */
  readonly infer: InferNode;
  /** Prefix of emitted names; must not occur in the graph yet. */
  readonly prefix: string;
}

/** An operand: a value, or a number that becomes a float constant. */
export type Operand = Value | number;

/** Operators with two required operands; all others but Loop require the first. */
const BINARY = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Equal', 'Less', 'Greater', 'And', 'MatMul']);

/** Emits nodes, with one method per operator under its ONNX name; shapes and axes are plain arrays. */
export class GraphBuilder {
  /** Nodes emitted so far, in order. */
  readonly nodes: NodeProto[] = [];
  /** Constants that the nodes use. */
  readonly initializers: TensorProto[] = [];
  /** Names of values that stop gradients. */
  readonly stopped: Set<string> = new Set();
  /** Known derivatives, by the name of the differentiated value. */
  readonly given: Map<string, readonly CustomGradient[]> = new Map();
  /** Types of emitted values and constants, by name. */
  readonly types: Map<string, ValueType> = new Map();
  /** Opset version of the emitted nodes. */
  readonly opset: number;
  readonly #infer: InferNode;
  readonly #prefix: string;
  /** Constants by content, and the node count; shared by all scopes of a builder. */
  #shared = { constants: new Map<string, Value>(), count: 0 };

  /** Creates an empty builder for a graph of that opset. */
  constructor({ opset, infer, prefix }: BuilderOptions, around?: GraphBuilder) {
    this.opset = opset;
    this.#infer = infer;
    this.#prefix = prefix;
    if (!around) return;
    const { nodes, initializers, stopped, given, types } = around;
    Object.assign(this, { nodes, initializers, stopped, given, types });
    this.#shared = around.#shared;
  }

  /** The same builder with another name prefix; its nodes join this one's. */
  scope(prefix: string): GraphBuilder {
    return new GraphBuilder({ opset: this.opset, infer: this.#infer, prefix }, this);
  }

  /** A builder for a subgraph of a node, such as a branch of If: it may read this one's values. */
  inner(name: string): GraphBuilder {
    return new GraphBuilder({ opset: this.opset, infer: this.#infer, prefix: `${this.#prefix}${name}/` });
  }

  /** Emits a node with one output; `undefined` omits an optional input. */
  emit(op: string, inputs: readonly (Operand | undefined)[], attributes: Attributes = {}, domain = ''): Value {
    return this.emitMany(op, inputs, 1, attributes, domain)[0]!;
  }

  /** Emits a node with `count` outputs. */
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

  /** A scalar constant; float32 by default. */
  scalar(value: number, type: ValueType['type'] = 'float32'): Value {
    return this.constant(numberTensor(value, type, []));
  }

  /** A one-dimensional int64 constant, such as a shape or axes. */
  ints(values: readonly number[]): Value {
    return this.constant(int64(values, [values.length]));
  }

  /** A constant tensor; small equal ones are shared. */
  constant(tensor: Tensor): Value {
    const key = tensor.data.length <= 16 ? `${tensor.type}[${tensor.dims.join()}]${tensor.data.join()}` : undefined;
    const shared = key === undefined ? undefined : this.#shared.constants.get(key);
    if (shared) return shared;
    const name = `${this.#prefix}constant_${this.#shared.constants.size + this.initializers.length}`;
    this.initializers.push(tensorProto(name, tensor));
    const isInt = (tensor.type === 'int64' || tensor.type === 'bool') && tensor.dims.length <= 1;
    // For example the scales of Resize.
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
  /** `yes` where the bool `condition` holds, else `no`; a number takes the other operand's type. */
  Where(condition: Value, yes: Operand, no: Operand): Value {
    const type = (typeof yes === 'object' ? yes : typeof no === 'object' ? no : undefined)?.type;
    const operand = (value: Operand): Value => (typeof value === 'number' ? this.scalar(value, type) : value);
    return this.emit('Where', [condition, operand(yes), operand(no)]);
  }
  /** x cast to an element type, by its number in onnx.proto (1 is float32, 7 is int64). */
  Cast(x: Value, to: number): Value { return this.emit('Cast', [x], { to }); } // prettier-ignore
  /** x under another name. */
  Identity(x: Value): Value { return this.emit('Identity', [x]); } // prettier-ignore

  /** The same value with a stopped gradient, as torch's `detach`. */
  stopGradient(x: Value): Value {
    const y = this.Identity(x);
    this.stopped.add(y.name);
    return y;
  }

  /**
   * The same value with custom gradients: each `by` receives the value's gradient times `gradient`, and nothing else
   * does. An element of `by` may influence only the element of the value that broadcasts onto it, as in a row
   * reduction: a value `[rows, 1]` has a gradient `[rows, classes]`.
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
    // The addend is optional since opset 11. A scalar one crashes WebGPU.
    const addend = c ?? (this.opset < 11 ? this.constant(numberTensor(0, a.type, [1])) : undefined);
    return this.emit('Gemm', [a, b, addend], {
      transA: transA ? 1 : undefined,
      transB: transB ? 1 : undefined,
      alpha: alpha === undefined ? undefined : float(alpha),
      beta: beta === undefined ? undefined : float(beta),
    });
  }

  // Reductions: axes are an attribute or an input, depending on the opset.
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
  /** The softmax along `axis`. */
  Softmax(x: Value, axis: number): Value { return this.emit('Softmax', [x], { axis }); } // prettier-ignore

  // Data movement.
  /** Reshapes x; one dimension may be -1, and 0 keeps x's dimension. */
  Reshape(x: Value, shape: readonly number[] | Value): Value {
    return this.emit('Reshape', [x, 'name' in shape ? shape : this.ints(shape)]);
  }
  /** Permutes the axes of x. */
  Transpose(x: Value, perm: readonly number[]): Value { return this.emit('Transpose', [x], { perm }); } // prettier-ignore
  /** Concatenates along `axis`. */
  Concat(values: readonly Value[], axis: number): Value { return this.emit('Concat', values, { axis }); } // prettier-ignore
  /** Broadcasts x to a shape. */
  Expand(x: Value, shape: readonly number[] | Value): Value {
    return this.emit('Expand', [x, 'name' in shape ? shape : this.ints(shape)]);
  }
  /** The shape of x: int64 `[rank]`. */
  Shape(x: Value): Value { return this.emit('Shape', [x]); } // prettier-ignore
  /** Slices of x along `axis` at `indices`. */
  Gather(x: Value, indices: Value, axis: number): Value { return this.emit('Gather', [x, indices], { axis }); } // prettier-ignore
  /** Elements of x along `axis` at `indices`; the result has the shape of `indices`. */
  GatherElements(x: Value, indices: Value, axis: number): Value {
    const { shape } = x;
    if (this.opset >= 11 || !isStatic(shape) || axis !== shape.length - 1)
      return this.emit('GatherElements', [x, indices], { axis });
    // The operator exists since opset 11. Along the last axis, the flat index is the row's offset plus the index.
    const [rows, width] = [shape.slice(0, -1), shape.at(-1)!];
    const starts = Array.from({ length: rows.reduce((a, b) => a * b, 1) }, (_, i) => i * width);
    const places = this.Add(this.Cast(indices, dataTypeNumber('int64')), this.constant(int64(starts, [...rows, 1])));
    return this.Gather(this.Reshape(x, [-1]), places, 0);
  }
  /** Removes dimensions of size 1 at `axes`. */
  Squeeze(x: Value, axes: readonly number[]): Value { return this.#axes('Squeeze', x, axes); } // prettier-ignore
  /** Inserts dimensions of size 1 at `axes`. */
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
  /** Pads with a number, by default 0; negative pads crop. `pads` in ONNX's order: all begins, then all ends. */
  Pad(x: Value, pads: readonly number[], fill = 0): Value {
    if (this.opset < 11) return this.emit('Pad', [x], { pads, ...(fill === 0 ? {} : { value: float(fill) }) });
    return this.emit('Pad', [x, this.ints(pads), ...(fill === 0 ? [] : [this.scalar(fill, x.type)])]);
  }
  /** Splits x into these sizes along `axis`. */
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
