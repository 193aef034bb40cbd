/** @file One graph of a model during injection: the main graph, or a subgraph of a node. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { GraphProto, NodeProto, TensorProto, ValueInfoProto } from '../../graph/proto.ts';
import { addendInput, lastNode } from '../../match/layers/layer.ts';
import { subgraphs } from '../../graph/walk.ts';
import { findSites, type Site } from '../../match/sites.ts';
import { readsCodes } from '../../match/weights/index.ts';
import { inferNode } from '../../ops/infer.ts';
import { float32 } from '../../runtime/tensor.ts';
import type { AdapterInputs, GraphChange } from '../adapterInputs.ts';
import { kindOf } from '../kinds/table.ts';
import { type Fold, RowFold } from '../rows.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import type { Lowering } from './lowering.ts';
import type { DropoutPattern } from '../methods/loraSite.ts';

/** The original nodes of a graph with those whose subgraphs were rewritten. */
type RewrittenNodes = readonly (readonly [original: NodeProto, current: NodeProto])[];

/** State shared by all lowerings of one graph: builder, adapter inputs, reading and naming of the base's values. */
export class GraphScope {
  readonly g: GraphBuilder;
  /** Shared by the main graph and its subgraphs. */
  readonly inputs: AdapterInputs;
  /** The graph's original nodes. */
  readonly own: ReadonlySet<NodeProto>;
  /** Folds rows that may use different adapters. */
  readonly rows: RowFold;
  /** Folds rows of per-example inputs. */
  readonly batchRows: RowFold;
  readonly isMain: boolean;
  /** Replaced nodes of the graph. */
  readonly changes: GraphChange[] = [];
  readonly #graph: GraphProto;
  readonly #holdsBatch: boolean;
  #lowerings: readonly Lowering[] = [];
  readonly #valueInfo: ValueInfoProto[] = [];
  readonly #picked = new Map<string, Value>();
  /** Nodes emitted as in the base that read nothing an adapter changes. */
  readonly #plain = new Set<NodeProto>();
  readonly #changed = new Set<string>();
  readonly #untouched = new Map<string, string>();
  #calls = 0;

  /** @param place number of the graph (0 is the main graph), and whether its values have the whole batch */
  constructor(
    inputs: AdapterInputs,
    graph: GraphProto,
    { number, holdsBatch }: { readonly number: number; readonly holdsBatch: boolean },
  ) {
    this.inputs = inputs;
    this.#graph = graph;
    const { prefix } = inputs;
    this.g = new GraphBuilder({
      opset: inputs.opset,
      infer: inferNode,
      prefix: number === 0 ? `${prefix}/` : `${prefix}/${number}/`,
    });
    this.rows = new RowFold(this.g, inputs.batchInput, () => inputs.rows);
    this.batchRows = new RowFold(this.g, inputs.batchInput);
    this.#holdsBatch = holdsBatch;
    this.isMain = number === 0;
    this.own = new Set(graph.node);
  }

  /** Whether the graph is for training: one adapter, static shapes. */
  get training(): boolean {
    return this.inputs.training;
  }

  /** Constants of the new nodes, stored in the main graph, where every subgraph sees them. */
  get constants(): readonly TensorProto[] {
    return this.g.initializers;
  }

  /** The graph including the adapters' nodes. */
  rewrite(nodes: RewrittenNodes, lowerings: readonly Lowering[]): GraphProto {
    this.#lowerings = lowerings;
    const dropped: NodeProto[] = [];
    for (const [original, current] of nodes) {
      const start = this.g.nodes.length;
      this.#emit(original, current);
      const after = this.g.nodes.slice(start);
      if (after.length === 1 && after[0] === current) continue;
      // A layer's dropped nodes precede its last node, which is replaced.
      dropped.push(original);
      if (after.length > 0) this.changes.push({ before: dropped.splice(0), after });
    }
    return {
      ...this.#graph,
      node: this.g.nodes,
      valueInfo: [...(this.#graph.valueInfo ?? []), ...this.#valueInfo],
    };
  }

  #emit(original: NodeProto, current: NodeProto): void {
    this.#note(original);
    const replaced = this.#lowerings.find((each) => each.replaced.has(original))?.replaced.get(original);
    if (replaced) return replaced(original, current);
    if (this.#lowerings.some(({ dropped }) => dropped.has(original))) return;
    const beside = this.#lowerings.find((each) => each.beside.has(original))?.beside.get(original);
    if (beside) beside(original, current);
    else this.g.nodes.push(this.withInputs(original, current));
  }

  /** Notes, before a node is emitted, whether its outputs are those of the base. */
  #note(node: NodeProto): void {
    const isReplaced = this.#lowerings.some((each) => each.replaced.has(node) || each.dropped.has(node));
    const isChanged = isReplaced || (node.input ?? []).some((name) => this.#changed.has(name));
    if (isChanged) for (const name of node.output ?? []) this.#changed.add(name);
    else this.#plain.add(node);
  }

  /** Name of a linear layer's input, of the last one without a path. @throws OnnxLoraError `TARGET_NOT_FOUND` */
  inputOf(path?: string): string {
    const sites = findSites(this.#graph, { typeOf: (name) => this.inputs.types.get(name), parts: false });
    const linear = sites.filter(({ kind }) => kind === 'linear');
    const site = path === undefined ? linear.at(-1) : linear.find((each) => each.path === path);
    if (site) return site.input;
    throw new OnnxLoraError('TARGET_NOT_FOUND', `There is no linear layer ${path === undefined ? 'in the graph' : `"${path}"`} whose input could be read. Name another.`); // prettier-ignore
  }

  /** A value as without any adapter, computed a second time if needed. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
  untouched(name: string): Value {
    for (const node of this.#before(name, (value, node) => this.#untouched.has(value) || this.#plain.has(node))) {
      if (subgraphs(node).length > 0) {
        throw new OnnxLoraError('MODEL_UNSUPPORTED', `The base cannot be computed once more beside itself: "${node.name}" is a branch or a loop (${node.opType}). Choose a layer before it, or another method.`); // prettier-ignore
      }
      this.#emitAgain(node, this.#untouched, `${this.inputs.prefix}/untouched/`);
    }
    return { name: this.#untouched.get(name) ?? name, ...this.inputs.types.get(name) };
  }

  /** A value computed again with others substituted by name. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
  given(name: string, others: ReadonlyMap<string, Value>): Value {
    const prefix = `${this.inputs.prefix}/given/${this.#calls++}/`;
    const names = new Map([...others].map(([own, value]) => [own, value.name]));
    const refused = (why: string): OnnxLoraError =>
      new OnnxLoraError('MODEL_UNSUPPORTED', `The nodes between ${[...others.keys()].map((each) => `"${each}"`).join(', ')} and "${name}" cannot be computed a second time: ${why}. Leave the layers out (excludeModules), or take another method.`); // prettier-ignore
    for (const node of this.#before(name, (value) => others.has(value))) {
      if (!(node.input ?? []).some((each) => names.has(each))) continue;
      const isAdapted = this.#lowerings.some((each) => each.replaced.has(node) || each.dropped.has(node));
      if (isAdapted) throw refused(`"${node.name}" belongs to a layer that is adapted`);
      if (subgraphs(node).length > 0) throw refused(`"${node.name}" is a branch or a loop (${node.opType})`);
      this.#emitAgain(this.withInputs(node, node), names, prefix);
    }
    const found = names.get(name);
    if (found === undefined) throw refused('the one does not follow from the others');
    return { name: found, ...this.inputs.types.get(name) };
  }

  /** The nodes that a value depends on, in order, up to known values. */
  #before(name: string, isKnown: (value: string, node: NodeProto) => boolean): NodeProto[] {
    const nodes = this.#graph.node ?? [];
    const producers = new Map(nodes.flatMap((node) => (node.output ?? []).map((each) => [each, node] as const)));
    const needed = new Set<NodeProto>();
    const left = [name];
    while (left.length > 0) {
      const value = left.pop()!;
      const node = producers.get(value);
      if (!node || needed.has(node) || isKnown(value, node)) continue;
      needed.add(node);
      left.push(...(node.input ?? []));
    }
    return nodes.filter((node) => needed.has(node));
  }

  /** The node reading replaced parameters. */
  withInputs(original: NodeProto, current: NodeProto): NodeProto {
    const names = new Map(
      this.#lowerings.flatMap((each) => [...(each.renamed?.(original) ?? [])].map(([name, to]) => [name, to.name])),
    );
    if (names.size === 0) return current;
    return { ...current, input: (current.input ?? []).map((name) => names.get(name) ?? name) };
  }

  /** Dropout on the input of an adapter's change, in training. @param pattern group of values dropped together */
  dropped(x: Value, site: Site, dropout = 0, pattern: DropoutPattern = 'element'): Value {
    if (!this.training || dropout === 0) return x;
    const { g } = this;
    const mask = this.inputs.mask(site, dropout, maskDims(x.shape as readonly number[], site, pattern));
    return g.Mul(g.Mul(x, g.Cast(mask, dataTypeNumber('float32'))), 1 / (1 - dropout));
  }

  /** Emits the terms added to the loss in training. */
  losses(): Value[] {
    return this.#lowerings.flatMap((each) => each.losses?.() ?? []);
  }

  /** A layer's product, without bias, after the other adapters. */
  adapted(site: Site, product: Value): Value {
    const value = this.#lowerings.reduce((before, each) => each.adapted?.(site, before) ?? before, product);
    // Factors of open sizes leave the sum without an inferred shape.
    return { ...value, shape: product.shape ?? value.shape };
  }

  /** A value of the base. */
  read(name: string): Value {
    return { name, ...this.inputs.types.get(name) };
  }

  /** Casts a value to another float type if needed. */
  as(value: Value, type: Value['type']): Value {
    const isOther = type !== undefined && value.type !== undefined && type !== value.type;
    return isOther ? this.g.Cast(value, dataTypeNumber(type)) : value;
  }

  /** The base weight as float32, in the graph's layout. */
  weight({ weight: { name, stored, layout }, part }: Site): Value {
    const { g } = this;
    // The node of a quantised weight reads codes, so the floats must be added as a constant.
    if (readsCodes(stored)) return g.constant(float32(stored.read(), stored.dims));
    const whole = this.as(this.read(name), 'float32');
    if (!part) return whole;
    const own = Array.from({ length: part.count * part.size }, (_, i) => part.first + Math.floor(i / part.size) * part.step + (i % part.size)); // prettier-ignore
    return g.Gather(whole, g.ints(own), layout === 'in-out' ? 1 : 0);
  }

  /** Emits the layer's own nodes again, for another input. */
  forward(site: Site, x: Value): Value {
    const prefix = `${this.inputs.prefix}/base/${this.#calls++}/`;
    const names = new Map([[site.input, x.name]]);
    for (const node of new Set([...site.nodes, lastNode(site)])) {
      this.#emitAgain(this.withInputs(node, node), names, prefix);
    }
    return { name: names.get(site.output)!, ...this.inputs.types.get(site.output) };
  }

  /** Emits the layer's product again, for another input, without the bias. */
  bareProduct(site: Site, x: Value): Value {
    const prefix = `${this.inputs.prefix}/base/${this.#calls++}/`;
    const names = new Map([[site.input, x.name]]);
    const addend = addendInput(site);
    const bias = addend === undefined ? site.bias?.inside && site.bias.name : site.node.input![addend];
    const isOne = site.nodes.at(-1) === site.node;
    for (const node of site.nodes) {
      const read = this.withInputs(node, node);
      const bare = isOne && node === site.node && addend !== undefined ? withoutInput(read, addend) : read;
      this.#emitAgain(bare, names, prefix);
    }
    const product = { name: names.get(site.product)!, ...this.inputs.types.get(site.product) };
    // Nodes after the layer's own, which round its product, already include the bias.
    if (isOne || bias === undefined) return product;
    return this.g.Sub(product, kindOf(site).outputBias(this.g, site, this.read(bias)));
  }

  /** Pushes a copy of a node with renamed inputs and outputs. */
  #emitAgain(node: NodeProto, names: Map<string, string>, prefix: string): void {
    const input = (node.input ?? []).map((name) => names.get(name) ?? name);
    for (const name of node.output ?? []) names.set(name, `${prefix}${name}`);
    const output = (node.output ?? []).map((name) => names.get(name)!);
    // ONNX Runtime rejects duplicate node names, and a tuner may compute its layer several times.
    this.g.nodes.push({ ...node, ...(node.name ? { name: `${prefix}${node.name}` } : {}), input, output });
  }

  /** New name of a base value whose own name is given to another. */
  baseName(value: string): string {
    return `${this.inputs.prefix}/base/${value}`;
  }

  /** Pushes a node with its `output` renamed, and returns the renamed value. */
  emitRenamed(node: NodeProto, output: string): Value {
    const name = this.baseName(output);
    this.g.nodes.push({ ...node, output: node.output!.map((each) => (each === output ? name : each)) });
    return { name, ...this.inputs.types.get(output) };
  }

  /** Gives the last emitted value the name that the rest of the graph reads. */
  nameLast(value: Value, name: string): void {
    const last = this.g.nodes.at(-1)!;
    if (last.output?.[0] !== value.name) throw new Error('The value to name must have been emitted last.');
    last.output = [name];
    this.declare(name);
  }

  /** Declares the rank, which ONNX Runtime cannot infer behind adapter inputs. */
  declare(name: string): void {
    const type = this.inputs.types.get(name);
    if (!this.training && type?.shape) this.#valueInfo.push(valueInfo(name, type.type, type.shape));
  }

  /** The bank entries of the rows: one tensor without the bank dimension, or `[batch, ...]`. */
  picked(bank: Value): Value {
    let picked = this.#picked.get(bank.name);
    if (!picked) this.#picked.set(bank.name, (picked = this.g.Gather(bank, this.inputs.rows, 0)));
    return picked;
  }

  /** The layer's sizes and batch axis; a head's number of outputs may be open. */
  fold(site: Site): Fold {
    const { part, weightShape } = site;
    const whole = part ? [part.total, ...weightShape.slice(1)] : weightShape;
    return {
      weightShape: whole,
      rowAxis: this.inputs.rowAxis(site, this.#holdsBatch),
      isOpen: this.inputs.isOpen(site),
    };
  }

  /** `value · gain`, for one adapter or one per row. */
  scale(value: Value, gain: Value, site: Site): Value {
    const { g } = this;
    const perRow = this.inputs.differs(site);
    const scaled = (rows: Value): Value => (perRow ? this.rows.scale(rows, gain, this.fold(site)) : g.Mul(rows, gain));
    if (!site.arrange) return scaled(value);
    // The gain broadcasts against outputs in the last dimension.
    const { output } = site.arrange;
    const outputsLast = output.map((_, axis) => output.indexOf(axis));
    return g.Transpose(scaled(g.Transpose(value, outputsLast)), [...output]);
  }
}

/** A node without one of its inputs. */
export function withoutInput(node: NodeProto, at: number): NodeProto {
  const input = (node.input ?? []).map((name, i) => (i === at ? '' : name));
  while (input.at(-1) === '') input.pop();
  return { ...node, input };
}

/** Shape of a dropout mask, broadcast against the layer's input. */
function maskDims(dims: readonly number[], { kind, arrange }: Site, pattern: DropoutPattern): readonly number[] {
  if (pattern === 'element') return dims;
  const features = kind.startsWith('conv') ? 1 : (arrange?.input.at(-1) ?? dims.length - 1);
  if (pattern === 'row') return dims.map((dim, axis) => (axis === features ? 1 : dim));
  // Two dimensions have no positions within an example: features are dropped for the whole batch.
  return dims.map((dim, axis) => (axis === features || (axis === 0 && dims.length > 2) ? dim : 1));
}
