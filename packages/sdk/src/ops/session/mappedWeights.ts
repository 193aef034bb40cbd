/**
 * @file Large matrices as the CPU reads them without a copy. ONNX Runtime computes Cast and Transpose of a weight while
 *   it loads a graph, and holds the result beside the file: two and three times the weights. Here products read the
 *   mapped file itself, transposed by a flag, and 16 bits are widened part by part beside each product, in a buffer
 *   that stays in the processor's cache.
 */

import { type Bytes, isInFile } from '../../graph/bytes.ts';
import { attributeProto } from '../../graph/attributes.ts';
import { dataTypeName, dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { rawBytes, tensorProto } from '../../graph/tensorData.ts';
import { freePrefix } from '../../graph/uniqueNames.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { type GraphIndex, indexGraph, intAttribute } from '../../graph/walk.ts';
import { int64, sizeOf } from '../../runtime/tensor.ts';
import { CONTRIB, isStandard, withContrib } from '../domains.ts';
import { type FrozenWeight, frozenWeight } from '../frozenWeight.ts';
import { opsetOf } from '../inferGraph.ts';
import { dropUnreadInitializers, reachable } from '../rewrites/simplify.ts';
import { attributeOf } from '../schema.ts';

/** Fewest elements of a weight: copies of smaller ones do not matter. */
const SMALLEST = 1 << 16;
/** Elements widened at once. 8 MB of float32 stay in the processor's cache until the product has read them. */
const PART = 1 << 21;
/** First opset in which Slice counts axes from the back. */
const SLICE_FROM_BACK = 11;
/** First IR version in which an initializer that is also an input is not a constant. */
const OVERRIDABLE = 4;

/** A graph for a session on the CPU. */
export interface MappedModel {
  readonly model: ModelProto;
  /** Whether weights are widened once for each product: these equal nodes must not be merged. */
  readonly widens: boolean;
}

/** Choices of {@link mappedWeights}. */
export interface MappedOptions {
  /** Whether ONNX Runtime packs weights, which copies them anyway: 16 bits are then widened once, while loading. */
  readonly prepack: boolean;
  /** Most elements that are widened at once. */
  readonly part?: number;
  /** Fewest elements of a weight. */
  readonly smallest?: number;
}

/** The model with large matrices read where they are mapped; undefined if that changes nothing. */
export function mappedWeights(model: ModelProto, options: MappedOptions): MappedModel | undefined {
  const { graph = {}, irVersion = 0 } = model;
  const { prepack, part = PART, smallest = SMALLEST } = options;
  const index = indexGraph(graph);
  const prefix = `${freePrefix(graph, 'mapped')}/`;
  // Widened weights are inputs with a default, since ONNX Runtime would compute the Cast of a constant while loading.
  const emitter = new Emitter(prefix, opsetOf(model), prepack || irVersion < OVERRIDABLE ? Infinity : part);
  const found = (name: string): FrozenWeight | undefined => {
    const matrix = frozenWeight(name, index);
    return matrix?.weight.dims!.length === 2 && sizeOf(matrix.weight.dims!) >= smallest ? matrix : undefined;
  };
  let isChanged = false;
  const node = (graph.node ?? []).flatMap((each) => {
    const nodes = emitter.product(each, found) ?? lookup(each, index, smallest);
    isChanged ||= nodes !== undefined;
    return nodes ?? [each];
  });
  if (!isChanged) return undefined;
  const outputs = (graph.output ?? []).map(({ name = '' }) => name);
  const own: GraphProto = {
    ...graph,
    node: reachable([...emitter.casts, ...node], outputs),
    initializer: [...(graph.initializer ?? []), ...emitter.parts.values(), ...emitter.constants],
    input: [
      ...(graph.input ?? []),
      ...[...emitter.parts.values()].map(({ name, dims, dataType }) => valueInfo(name!, dataTypeName(dataType), dims)),
    ],
  };
  return {
    model: { ...model, graph: dropUnreadInitializers(own), opsetImport: withContrib(model) },
    widens: emitter.parts.size > 0,
  };
}

/** Looks rows up before widening them; undefined for other nodes. */
function lookup(node: NodeProto, index: GraphIndex, smallest: number): NodeProto[] | undefined {
  if (node.opType !== 'Gather' || !isStandard(node.domain) || attributeOf(node, 'axis') !== 0) return undefined;
  const [table = '', ids = ''] = node.input!;
  const { name, weight, isWidened, isTransposed, chain } = frozenWeight(table, index) ?? {};
  if (!isWidened || isTransposed || sizeOf(weight!.dims ?? []) < smallest) return undefined;
  const [y] = node.output as [string];
  const cast = chain!.find(({ opType }) => opType === 'Cast')!;
  return [
    { ...node, input: [name!, ids], output: [`${y}/stored`] },
    { ...cast, name: `${node.name ?? y}/cast`, input: [`${y}/stored`], output: [y] },
  ];
}

/** Emits products that read weights where they are. */
class Emitter {
  /** Parts of weights that are widened at each run, by name. */
  readonly parts = new Map<string, TensorProto>();
  readonly constants: TensorProto[] = [];
  /**
   * The Casts of parts, for the beginning of the graph. ONNX Runtime goes back from the outputs, to the later of two
   * inputs first, so that each Cast runs right before its product. Any other place would widen whole layers ahead.
   */
  readonly casts: NodeProto[] = [];
  readonly #prefix: string;
  readonly #opset: number;
  readonly #part: number;
  readonly #widened = new Map<string, string>();
  #count = 0;

  /** @param part most elements of a part; infinite to widen while loading */
  constructor(prefix: string, opset: number, part: number) {
    this.#prefix = prefix;
    this.#opset = opset;
    this.#part = part;
  }

  /** The nodes in place of a product; undefined if it stays. */
  product(node: NodeProto, find: (name: string) => FrozenWeight | undefined): NodeProto[] | undefined {
    const way = wayOf(node);
    const found = way && find(node.input![1]!);
    if (!found || (!found.isWidened && !found.isTransposed)) return undefined;
    const isTransposed = way.isTransposed !== found.isTransposed;
    const stored = this.#part < Infinity ? rawBytes(found.weight) : undefined;
    if (!found.isWidened) return [reading(node, found.name, isTransposed)];
    if (!stored || !isDivisible(stored)) return this.#widenedOnce(node, found.name, isTransposed);
    const parts = this.#partsOf(found.weight, stored, way.isPlain ? this.#part : Infinity);
    if (parts.length > 1) return this.#inParts(node, parts, isTransposed);
    return [reading(node, this.#cast(parts[0]!.name!), isTransposed)];
  }

  /** All products read one Cast, which ONNX Runtime computes while loading; a Transpose becomes a flag. */
  #widenedOnce(node: NodeProto, weight: string, isTransposed: boolean): NodeProto[] {
    const known = this.#widened.get(weight);
    if (known !== undefined) return [reading(node, known, isTransposed)];
    const name = this.#cast(weight);
    this.#widened.set(weight, name);
    return [reading(node, name, isTransposed)];
  }

  /** A sum over parts of the inner axis, or for a transposed weight a list of outputs. */
  #inParts(node: NodeProto, parts: readonly TensorProto[], isTransposed: boolean): NodeProto[] {
    const [x = '', , addend] = node.input!;
    const { domain: _, attribute: __, ...named } = node;
    const nodes: NodeProto[] = [];
    const emit = (opType: string, input: readonly string[], attributes: NodeProto['attribute'] = [], domain = ''): string => {
      const name = `${this.#prefix}${opType}_${this.#count++}`;
      nodes.push({ name, opType, domain, input: [...input], output: [name], attribute: attributes });
      return name;
    }; // prettier-ignore
    let from = 0;
    let sum = addend;
    const outputs: string[] = [];
    for (const part of parts) {
      const to = from + part.dims![0]!;
      const own = isTransposed ? x : emit('Slice', [x, this.#ints(from), this.#ints(to), this.#ints(-1)]);
      const name = this.#cast(part.name!);
      if (isTransposed) outputs.push(emit('FusedMatMul', [own, name], [attributeProto('transB', 1)], CONTRIB));
      // Gemm adds within the product, but takes matrices only.
      else if (node.opType === 'Gemm') sum = emit('Gemm', sum ? [own, name, sum] : [own, name]);
      else sum = sum ? emit('Add', [emit('MatMul', [own, name]), sum]) : emit('MatMul', [own, name]);
      from = to;
    }
    if (isTransposed) {
      sum = emit('Concat', outputs, [attributeProto('axis', -1)]);
      if (addend) sum = emit('Add', [sum, addend]);
    }
    const { name: _name, ...last } = nodes.pop()!;
    return [...nodes, { ...named, ...last, output: node.output! }];
  }

  /** Rows of a weight as tensors of their own, shared by all products. */
  #partsOf(weight: TensorProto, stored: Divisible, most: number): TensorProto[] {
    const [rows, columns] = weight.dims as [number, number];
    const count = this.#opset < SLICE_FROM_BACK ? 1 : Math.max(1, Math.min(rows, Math.ceil((rows * columns) / most)));
    const each = Math.ceil(rows / count);
    return Array.from({ length: Math.ceil(rows / each) }, (_, i) => {
      const name = `${this.#prefix}${weight.name}/${count === 1 ? 'whole' : i}`;
      const own = Math.min(each, rows - i * each);
      const bytes = stored.length / rows;
      const part = this.parts.get(name) ?? {
        name,
        dims: [own, columns],
        dataType: weight.dataType!,
        rawData: divided(stored, i * each * bytes, own * bytes),
      };
      this.parts.set(name, part);
      return part;
    });
  }

  #cast(weight: string): string {
    const name = `${this.#prefix}Cast_${this.#count++}`;
    const attribute = [attributeProto('to', dataTypeNumber('float32'))];
    this.casts.push({ name, opType: 'Cast', input: [weight], output: [name], attribute });
    return name;
  }

  #ints(value: number): string {
    const name = `${this.#prefix}${value}`;
    if (!this.constants.some((each) => each.name === name)) this.constants.push(tensorProto(name, int64([value], [1])));
    return name;
  }
}

/** How a product reads its second operand; undefined for other nodes. */
function wayOf(node: NodeProto): { readonly isTransposed: boolean; readonly isPlain: boolean } | undefined {
  const { opType, domain, input: [, , addend] = [] } = node;
  if (opType === 'MatMul' && isStandard(domain)) return { isTransposed: false, isPlain: true };
  const isGemm = opType === 'Gemm' && isStandard(domain);
  if (!isGemm && (opType !== 'FusedMatMul' || domain !== CONTRIB)) return undefined;
  if (!isGemm && (intAttribute(node, 'transBatchA', 0) !== 0 || intAttribute(node, 'transBatchB', 0) !== 0)) return undefined; // prettier-ignore
  const isPlain =
    attributeOf(node, 'transA') === 0 &&
    attributeOf(node, 'alpha') === 1 &&
    (!isGemm || !addend || attributeOf(node, 'beta') === 1);
  return { isTransposed: attributeOf(node, 'transB') === 1, isPlain };
}

/** The product with another operand, transposed by a flag. */
function reading(node: NodeProto, weight: string, isTransposed: boolean): NodeProto {
  const others = (node.attribute ?? []).filter(({ name }) => name !== 'transB');
  const attribute = isTransposed ? [...others, attributeProto('transB', 1)] : others;
  const isPlain = node.opType === 'MatMul';
  return {
    ...node,
    ...(isPlain && isTransposed ? { opType: 'FusedMatMul', domain: CONTRIB } : {}),
    input: node.input!.with(1, weight),
    attribute,
  };
}

type Divisible = Exclude<Bytes, { readonly compute: unknown }>;

function isDivisible(bytes: Bytes): bytes is Divisible {
  return isInFile(bytes) || bytes instanceof Uint8Array;
}

function divided(bytes: Divisible, offset: number, length: number): Bytes {
  if (bytes instanceof Uint8Array) return bytes.subarray(offset, offset + length);
  return { ...bytes, offset: bytes.offset + offset, length };
}
