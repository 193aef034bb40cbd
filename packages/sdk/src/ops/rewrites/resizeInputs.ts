/** @file Resizes a graph for smaller inputs: fits constants, such as position embeddings, and fixed target shapes. */

import { OnnxLoraError } from '../../errors.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from '../../graph/proto.ts';
import { type Dim, formatShape, isStatic, type ValueType } from '../../graph/value.ts';
import { readNames, subgraphs } from '../../graph/walk.ts';
import { isElementwise } from '../axes.ts';
import { inferNode, isImpossible } from '../infer.ts';
import { type InputSizes, resizedInput, roundedSizes, shownSizes, type EvenPositions } from './inputSizes.ts';
import { axesThatDiffer, NOT_COMPUTED, Spread } from './spreadAxis.ts';
import { inlineKnownBranches } from './simplify.ts';
import { inferGraph, opsetOf } from '../inferGraph.ts';
import { expandTarget, reshapeTarget } from './resizedTarget.ts';

/**
 * The model with these input sizes. Constants that meet a smaller value keep their first positions, or those computed
 * of a spread axis; fixed target shapes are rewritten. Outputs with a spread axis repeat stand-ins.
 * @throws OnnxLoraError `INPUT_INVALID` for an unknown input or axis, a larger size, or two spread axes
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` naming the node that cannot be resized, and nearby sizes that work
 */
export function resizeInputs<M extends ModelProto & { readonly graph: GraphProto }>(
  model: M,
  sizes: InputSizes,
  name: string,
): M {
  try {
    return resized(model, sizes, name);
  } catch (error) {
    if (!(error instanceof OnnxLoraError) || error.code !== 'MODEL_UNSUPPORTED') throw error;
    const near = sizesThatHold(model, sizes, name);
    const remedy = near ? `Take sizes that all nodes can follow, such as ${shownSizes(near)}; it was` : 'Use the sizes that it was'; // prettier-ignore
    const exported = (model.graph.input ?? []).flatMap((info) => (Object.hasOwn(sizes, info.name ?? '') ? [`${info.name} ${formatShape(inputShape(info))}`] : [])); // prettier-ignore
    throw new OnnxLoraError(error.code, `${error.message} ${remedy} exported for: ${exported.join(', ')}.`, {
      cause: error,
    });
  }
}

/** Most nodes visited over all attempts to find working sizes. */
const LOOKED_AT = 20_000;

/** Nearby sizes that work, as multiples of powers of two, since networks halve repeatedly. */
function sizesThatHold(
  model: ModelProto & { readonly graph: GraphProto },
  sizes: InputSizes,
  name: string,
): InputSizes | undefined {
  const roundings = [2, 4, 8, 16, 32, 64].flatMap((step) => [Math.floor, Math.ceil].map((round) => (size: number) => step * round(size / step))); // prettier-ignore
  const rounded = roundings.map((round) => roundedSizes(sizes, round));
  const tried = new Set([JSON.stringify(sizes)]);
  let left = LOOKED_AT / Math.max(1, model.graph.node?.length ?? 0);
  for (const each of rounded) {
    if (tried.has(JSON.stringify(each)) || left-- < 1) continue;
    tried.add(JSON.stringify(each));
    try {
      if (resized(model, each, name) !== model) return each;
    } catch (error) {
      // Larger than exported, or impossible too.
      if (!(error instanceof OnnxLoraError)) throw error;
    }
  }
  return undefined;
}

function inputShape({ type }: ValueInfoProto): readonly Dim[] | undefined {
  return type?.tensorType?.shape?.dim?.map(({ dimValue, dimParam }) => dimParam ?? Number(dimValue ?? 0));
}

function resized<M extends ModelProto & { readonly graph: GraphProto }>(model: M, sizes: InputSizes, name: string): M {
  if (Object.keys(sizes).length === 0) return model;
  // A merged decoder is an If whose branch is known without a past.
  const graph = inlineKnownBranches(model.graph, inferGraph(model));
  const before = inferGraph({ ...model, graph });
  const changed = new Map<string, ValueType>();
  for (const [input, axes] of Object.entries(sizes)) {
    const resized = resizedInput(graph, before.get(input), input, axes, name);
    if (resized) changed.set(input, resized);
  }
  if (changed.size === 0) return model;
  const spread = spreadOf(sizes, before, name);
  const resizer = new Resizer({ opset: opsetOf(model), before, changed, name, spread });
  const resizedNodes = (graph.node ?? []).flatMap((each) => resizer.resize(each));
  const node = spread ? resizer.withAllPositions(resizedNodes, graph.output ?? []) : resizedNodes;
  const declared = (infos: readonly ValueInfoProto[] = []): ValueInfoProto[] =>
    infos.map((info) => withSizes(info, changed.get(info.name ?? '')));
  return {
    ...model,
    graph: {
      ...graph,
      node,
      initializer: [...(graph.initializer ?? []), ...resizer.initializers],
      input: declared(graph.input),
      output: spread ? graph.output : declared(graph.output),
      valueInfo: (graph.valueInfo ?? []).filter((info) => !changed.has(info.name ?? '')),
    },
  };
}

function spreadOf(sizes: InputSizes, types: ReadonlyMap<string, ValueType>, name: string): Spread | undefined {
  const all = Object.entries(sizes).flatMap(([input, axes]) =>
    Object.entries(axes).map(([axis, size]) => ({ of: types.get(input)!.shape![Number(axis)] as number, size })),
  );
  const spread = all.find(({ size }) => typeof size !== 'number');
  if (spread && all.length > 1)
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `The inputs of "${name}" change more sizes than that of the spread axis. Change that alone.`,
    );
  return spread && new Spread(spread.of, spread.size as EvenPositions);
}

interface ResizeRequest {
  readonly opset: number;
  /** Original types. */
  readonly before: ReadonlyMap<string, ValueType>;
  /** Changed types. */
  readonly changed: Map<string, ValueType>;
  readonly name: string;
  readonly spread: Spread | undefined;
}

/** Resizes nodes in graph order. */
class Resizer {
  readonly #g: GraphBuilder;
  readonly #about: ResizeRequest;
  readonly #sliced = new Map<string, Value>();

  constructor(about: ResizeRequest) {
    this.#about = about;
    this.#g = new GraphBuilder({ opset: about.opset, infer: inferNode, prefix: 'resized/' });
  }

  get initializers(): GraphBuilder['initializers'] {
    return this.#g.initializers;
  }

  resize(node: NodeProto): NodeProto[] {
    if (!readNames(node).some((name) => this.#about.changed.has(name))) return [node];
    if (subgraphs(node).length > 0) throw this.#refusal(node, 'it holds a graph of its own');
    const start = this.#g.nodes.length;
    const fitted = this.#weighted(this.#fitted(node));
    const inputs = (fitted.input ?? []).map((name) => (name ? this.#type(name) : undefined));
    const old = (node.input ?? []).map((name) => (name ? this.#about.before.get(name) : undefined));
    const { opset, spread } = this.#about;
    const mismatch = `it cannot take ${inputs.map((each) => formatShape(each?.shape)).join(' and ')}`;
    const isPossible = !isImpossible({ node: fitted, inputs, opset });
    if (!isPossible && !isImpossible({ node, inputs: old, opset })) throw this.#refusal(node, mismatch);
    const inferred = inferNode({ node: fitted, inputs, opset });
    (node.output ?? []).forEach((name, i) => {
      if (!name) return;
      const [old, found] = [this.#about.before.get(name) ?? {}, inferred[i] ?? {}];
      const isLost = (!found.shape && old.shape) || (isStatic(found.shape) && found.shape.includes(0));
      if (isLost || (!found.shape && !old.shape)) throw this.#refusal(node, mismatch);
      if (spread?.isOff(old.shape, found.shape)) throw this.#refusal(node, NOT_COMPUTED);
      if (found.shape!.join() !== old.shape?.join() || found.ints?.join() !== old.ints?.join())
        this.#about.changed.set(name, found);
    });
    return [...this.#g.nodes.slice(start), fitted];
  }

  /** The node with weights for its sums over a spread axis. */
  #weighted(node: NodeProto): NodeProto {
    const { spread, opset, before } = this.#about;
    if (!spread) return node;
    const operands = (node.input ?? []).map((name) => {
      const now = this.#type(name);
      return { old: before.get(name)?.shape ?? now.shape, now };
    });
    const fitted = spread.weighted(this.#g, { node, opset, operands });
    if (typeof fitted === 'string') throw this.#refusal(node, fitted);
    return fitted;
  }

  /** Expands outputs to all positions of a spread axis. */
  withAllPositions(nodes: readonly NodeProto[], outputs: readonly ValueInfoProto[]): NodeProto[] {
    const { spread, before, changed } = this.#about;
    const few = new Map<string, string>();
    const start = this.#g.nodes.length;
    const last: NodeProto[] = [];
    for (const { name = '' } of outputs) {
      const old = before.get(name)?.shape ?? [];
      const { shape } = changed.get(name) ?? {};
      const axes = axesThatDiffer(old, shape);
      if (axes.length === 0) continue;
      few.set(name, `resized/${name}`);
      const all = axes.reduce(
        (value, axis) => this.#g.Gather(value, this.#g.ints(spread!.standIns(old[axis], shape![axis])!), axis),
        { ...changed.get(name), name: few.get(name)! } as Value,
      );
      last.push({ opType: 'Identity', name: `resized/all of ${name}`, input: [all.name], output: [name] });
    }
    const renamed = (names: readonly string[] = []): string[] => names.map((each) => few.get(each) ?? each);
    const inside = nodes.map((node) => ({ ...node, input: renamed(node.input), output: renamed(node.output) }));
    return [...inside, ...this.#g.nodes.slice(start), ...last];
  }

  #type(name: string): ValueType {
    return this.#about.changed.get(name) ?? this.#g.types.get(name) ?? this.#about.before.get(name) ?? {};
  }

  /** The node with operands cut to fit each other. */
  #fitted(node: NodeProto): NodeProto {
    const { opType = '', input = [] } = node;
    if (isElementwise(node)) return { ...node, input: input.map((name) => this.#cutToFit(name, input)) };
    if ((opType === 'Reshape' || opType === 'Expand') && !this.#about.changed.has(input[1]!))
      return this.#withTarget(node);
    if (opType === 'MatMul') this.#requireSameLength(node);
    return node;
  }

  /** An unchanged operand, cut along axes on which another one shrank. */
  #cutToFit(name: string, operands: readonly string[]): string {
    if (this.#about.changed.has(name)) return name;
    const shape = this.#about.before.get(name)?.shape;
    if (!shape) return name;
    let value: Value = { name, ...this.#about.before.get(name) };
    shape.forEach((size, axis) => {
      const back = shape.length - axis;
      for (const other of operands) {
        const now = this.#about.changed.get(other)?.shape?.at(-back);
        const old = this.#about.before.get(other)?.shape?.at(-back);
        if (typeof now !== 'number' || now === old || old !== size || size === 1 || value.shape?.[axis] === now)
          continue;
        value = this.#first(value, axis, now);
      }
    });
    return value.name;
  }

  /** The first positions of a value, or those of a spread axis. */
  #first(value: Value, axis: number, size: number): Value {
    const key = `${value.name}|${axis}|${size}`;
    const positions = this.#about.spread?.positions(value.shape?.[axis], size);
    const known =
      this.#sliced.get(key) ??
      (positions ? this.#g.Gather(value, this.#g.ints(positions), axis) : this.#g.Slice(value, [0], [size], [axis]));
    this.#sliced.set(key, known);
    return known;
  }

  /** The node with its target shape resized. */
  #withTarget(node: NodeProto): NodeProto {
    const [data, shape] = node.input as [string, string];
    const [old, now] = [this.#about.before.get(data)?.shape, this.#about.changed.get(data)?.shape];
    const target = this.#about.before.get(shape)?.ints;
    if (!old || !now || !target) throw this.#refusal(node, 'its shape is not known');
    const resized = (node.opType === 'Expand' ? expandTarget : reshapeTarget)({ old, now, target });
    if (resized?.join() === target.join()) return node;
    // At most one dimension may be inferred at run time.
    const open = resized?.filter((dim) => typeof dim === 'string' || dim < 0).length ?? Infinity;
    if (!resized || open > (node.opType === 'Expand' ? 0 : 1))
      throw this.#refusal(node, `its shape ${formatShape(target)} does not say what becomes of ${formatShape(now)}`);
    const ints = this.#g.ints(resized.map((dim) => (typeof dim === 'string' ? -1 : dim)));
    return { ...node, input: [data, ints.name] };
  }

  #requireSameLength(node: NodeProto): void {
    const [a, b] = node.input!.map((name) => this.#type(name).shape);
    const [left, right] = [a?.at(-1), b?.at(b.length === 1 ? -1 : -2)];
    if (typeof left === 'number' && typeof right === 'number' && left !== right)
      throw this.#refusal(node, `its weights are for ${right} positions, not ${left}`);
  }

  #refusal(node: NodeProto, why: string): OnnxLoraError {
    return new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${this.#about.name}" cannot be used with smaller inputs: ${node.opType} "${node.name}" cannot follow, ${why}.`,
    );
  }
}

/** A declaration with the changed sizes. */
function withSizes(info: ValueInfoProto, type: ValueType | undefined): ValueInfoProto {
  const { tensorType } = info.type ?? {};
  if (!type || !tensorType?.shape) return info;
  const old = tensorType.shape.dim ?? [];
  const dim = type.shape!.map((size, i) => (typeof size === 'number' ? { dimValue: size } : (old[i] ?? {})));
  return { ...info, type: { ...info.type, tensorType: { ...tensorType, shape: { dim } } } };
}
