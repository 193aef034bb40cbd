/** @file Edits weights of a graph without affecting other readers of the same tensors. */

import { OnnxLoraError } from '../../errors.ts';
import { readBytes } from '../../graph/bytes.ts';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { expectedBytes, rawBytes } from '../../graph/tensorData.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { attribute, type GraphIndex, indexWhole } from '../../graph/walk.ts';
import type { ParameterReader } from '../../lora/methods/trainedParameter.ts';
import {
  type ChangedTensors,
  constantWeight,
  type Cut,
  type NamedTensor,
  type StoredWeight,
} from '../../match/weights/index.ts';

/** An edit of one weight. */
export interface WeightEdit {
  /** The weight in the graph's form. */
  readonly stored: StoredWeight;
  /** The nodes that shall read the new values; others keep the old ones. */
  readonly readers: readonly ParameterReader[];
  /** Computes the new values from the present ones, both of `stored.dims`. Pure: called repeatedly. */
  readonly change: (before: Float32Array) => Float32Array;
  /** The weight's module for errors. */
  readonly module: string;
}

/** Rounding error of a stored weight. */
export interface RoundingError {
  /** torch's module path. */
  readonly module: string;
  /** Storage type, such as `int8`. */
  readonly storage: string;
  /** ‖stored − wanted‖ ÷ ‖wanted‖. */
  readonly relativeError: number;
}

/** An edited model with rounding errors. */
export interface EditedModel {
  /** The graph with the changed weights. */
  readonly model: ModelProto;
  /** Errors of the weights whose storage rounds. */
  readonly rounding: readonly RoundingError[];
  /** Modules whose shared weight was copied. */
  readonly untied: readonly string[];
}

/**
 * Applies edits in order. Copies shared tensors. Computes large tensors one at a time while writing.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a shared quantised weight that cannot be copied
 */
export function editWeights(model: ModelProto, edits: readonly WeightEdit[]): EditedModel {
  const graph = model.graph ?? {};
  const index = indexWhole(graph);
  const changes = new Changes();
  const chains = new Map<string, readonly WeightEdit[]>();
  const owners = new Map<NodeProto, number>();
  const rounding: RoundingError[] = [];
  const untied: string[] = [];
  for (const edit of edits) {
    const { stored, module } = edit;
    const isCopied = !isExclusive(edit, index);
    const [{ name }] = stored.tensors;
    const [reader] = edit.readers as [ParameterReader];
    if (!owners.has(reader.node)) owners.set(reader.node, owners.size);
    // One node may read equal parameters, stored once, by several names.
    const key = isCopied ? `${name} ${owners.get(reader.node)!} ${reader.name}` : name;
    const chain = [...(chains.get(key) ?? []), edit];
    chains.set(key, chain);
    const { tensors, relativeError } = edited(chain);
    if (!isCopied) for (const each of tensors) changes.tensors.set(each.name, each.tensor);
    else changes.copy(edit, tensors);
    if (isCopied && !untied.includes(module)) untied.push(module);
    if (relativeError !== undefined) rounding.push({ module, storage: stored.storage, relativeError });
  }
  return { model: { ...model, graph: changes.appliedTo(graph) }, rounding, untied };
}

/** Larger tensors are computed while writing. */
const KEPT_BYTES = 1 << 20;

/** The tensors after a chain of edits, with the last one's rounding error. */
function edited(chain: readonly WeightEdit[]): {
  readonly tensors: readonly NamedTensor[];
  readonly relativeError?: number;
} {
  const { stored } = chain.at(-1)!;
  const [{ name, tensor }] = stored.tensors;
  const { dims = [], dataType = 0 } = tensor;
  const length = expectedBytes(tensor) ?? 0;
  const compute = (): Uint8Array => readBytes(rawBytes(apply(chain).tensors[0]!.tensor)!);
  const later: NamedTensor = { name, tensor: { name, dims, dataType, rawData: { length, compute } } };
  const isExact = stored.storage === 'float32';
  if (isExact && length > KEPT_BYTES) return { tensors: [later] };
  const { tensors, wanted } = apply(chain);
  const relative = isExact ? {} : { relativeError: relativeError(stored.read(tensorsByName(tensors)), wanted) };
  // Scales and zero points are small.
  return { tensors: length > KEPT_BYTES ? [later, ...tensors.slice(1)] : tensors, ...relative };
}

/**
 * The tensors after a chain of edits, and the last weight's wanted values. Consecutive edits of one weight are rounded
 * only once. Slices of a packed weight share a name but are different weights.
 */
function apply(chain: readonly WeightEdit[]): {
  readonly tensors: readonly NamedTensor[];
  readonly wanted: Float32Array;
} {
  const tensors = new Map<string, NamedTensor>();
  let last: WeightEdit | undefined;
  let wanted = new Float32Array();
  for (const edit of chain) {
    const { stored, change } = edit;
    const before = tensorsByName([...tensors.values()]);
    const exact = last && isSameWeight(last.stored, stored) ? wanted : stored.read(before);
    wanted = change(exact.slice()) as Float32Array<ArrayBuffer>;
    for (const each of stored.write(wanted, before)) tensors.set(each.name, each);
    last = edit;
  }
  return { tensors: [...tensors.values()], wanted };
}

function isSameWeight(a: StoredWeight, b: StoredWeight): boolean {
  return a === b || (a.name === b.name && !a.isPart && !b.isPart);
}

/** ‖found − wanted‖ ÷ ‖wanted − before‖ of a tensor's edits; 0 for floats of 16 bits or more. */
export function lossOf(edits: readonly WeightEdit[]): number {
  if (edits.every(({ stored }) => /^b?float(?:16|32|64)/.test(stored.storage))) return 0;
  let [lost, changed] = [0, 0];
  for (const [at, { stored }] of edits.entries()) {
    if (edits.slice(at + 1).some((later) => isSameWeight(later.stored, stored))) continue;
    // Evaluated after its last edit: a later edit of the whole tensor may change a slice again.
    const { tensors, wanted } = apply(edits.slice(0, at + 1));
    const [before, found] = [stored.read(), stored.read(tensorsByName(tensors))];
    for (let i = 0; i < wanted.length; i++) {
      lost += (found[i]! - wanted[i]!) ** 2;
      changed += (wanted[i]! - before[i]!) ** 2;
    }
  }
  return lost === 0 ? 0 : Math.sqrt(lost / changed);
}

function tensorsByName(tensors: readonly NamedTensor[]): ChangedTensors {
  return new Map(tensors.map(({ name, tensor }) => [name, tensor]));
}

/** True if only the edit's readers read the weight. */
function isExclusive({ stored, readers }: WeightEdit, index: GraphIndex): boolean {
  const paths = [stored, ...readers.map(({ name, chain = stored.chain }) => ({ name, chain }))];
  const own = new Set([...paths.flatMap(({ chain }) => chain), ...stored.support, ...readers.map(({ node }) => node)]);
  const values = [...stored.tensors.map(({ name }) => name), ...paths.flatMap(valuesAlong)];
  return values.every((value) => {
    if (index.outputs.has(value)) return false;
    const cut = stored.cuts.find((each) => each.value === value);
    const uses = index.uses.get(value) ?? [];
    return uses.every(({ node }) => own.has(node) || (cut !== undefined && readsBeside(node, cut, index)));
  });
}

/** The values between nodes of a chain, up to `name`. */
function valuesAlong({ chain, name }: Pick<StoredWeight, 'chain' | 'name'>): string[] {
  const read = new Set(chain.flatMap(({ input = [] }) => input));
  return chain.map(({ output = [] }) => output.find((each) => read.has(each)) ?? name);
}

/** True if a node reads only outside the cut's range. */
function readsBeside({ opType, output = [] }: NodeProto, cut: Cut, index: GraphIndex): boolean {
  if (opType !== 'Slice' && opType !== 'Split') return false;
  return output.every((name) => {
    const other = constantWeight(name, index)?.cuts.find(({ value }) => value === cut.value);
    return other?.axis === cut.axis && (other.end <= cut.start || other.start >= cut.end);
  });
}

class Changes {
  readonly tensors = new Map<string, TensorProto>();
  readonly #added: TensorProto[] = [];
  /** Nodes to insert after others, and renamed inputs of readers. */
  readonly #after = new Map<NodeProto, NodeProto[]>();
  readonly #renames = new Map<NodeProto, Map<string, string>>();
  /** Names of the copies of tensors, by the node and the input that they are for. */
  readonly #copied = new Map<NodeProto, Map<string, ReadonlyMap<string, string>>>();
  #copies = 0;

  /** Gives the readers a copy of the weight, or updates the one they have. */
  copy({ stored, readers, module }: WeightEdit, written: readonly NamedTensor[]): void {
    const [first] = readers as [ParameterReader];
    const known = this.#copied.get(first.node)?.get(first.name);
    if (written.every(({ name }) => known?.has(name))) {
      for (const { name, tensor } of written) {
        const at = this.#added.findIndex((each) => each.name === known!.get(name));
        this.#added[at] = { ...tensor, name: known!.get(name)! };
      }
      return;
    }
    if (stored.support.length > 0) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The weight of "${module}" is ${stored.storage} and shared with other layers, which the adapter does not change. Merge into the model before it was quantised, or serve the adapter unmerged.`,
      );
    }
    const suffix = `/merged_${this.#copies++}`;
    const names = new Map<string, string>();
    for (const { name, tensor } of written) {
      names.set(name, `${name}${suffix}`);
      this.#added.push({ ...tensor, name: `${name}${suffix}` });
    }
    const renamed = (name: string): string => names.get(name) ?? name;
    // Next to the originals, since readers may be in several branches of an If.
    for (const each of new Set([...stored.chain, ...readers.flatMap(({ chain = [] }) => chain)])) {
      for (const output of each.output ?? []) names.set(output, `${output}${suffix}`);
      const copy = {
        ...each,
        name: `${each.name ?? each.output![0]!}${suffix}`,
        input: (each.input ?? []).map(renamed),
        output: (each.output ?? []).map(renamed),
      };
      this.#after.set(each, [...(this.#after.get(each) ?? []), copy]);
    }
    for (const { node, name, chain = stored.chain } of readers) {
      const own = this.#renames.get(node) ?? new Map<string, string>();
      // Behind a chain, the node reads its end alone; the same tensors may be other parameters of the node.
      if (chain.length === 0) for (const [from, to] of names) own.set(from, to);
      this.#renames.set(node, own.set(name, renamed(name)));
      this.#copied.set(node, (this.#copied.get(node) ?? new Map<string, ReadonlyMap<string, string>>()).set(name, names)); // prettier-ignore
    }
  }

  appliedTo(graph: GraphProto): GraphProto {
    const main = this.#applyTo(graph);
    return { ...main, initializer: [...(main.initializer ?? []), ...this.#added] };
  }

  #applyTo(graph: GraphProto): GraphProto {
    return {
      ...graph,
      initializer: (graph.initializer ?? []).map((tensor) => {
        const changed = this.tensors.get(tensor.name ?? '');
        return changed ? { ...changed, name: tensor.name! } : tensor;
      }),
      node: (graph.node ?? []).flatMap((node) => {
        const names = this.#renames.get(node);
        const inner = this.#constant(withInner(node, (each) => this.#applyTo(each)));
        const own = names ? { ...inner, input: (inner.input ?? []).map((name) => names.get(name) ?? name) } : inner;
        return [own, ...(this.#after.get(node) ?? [])];
      }),
    };
  }

  #constant(node: NodeProto): NodeProto {
    const changed = node.opType === 'Constant' ? this.tensors.get(node.output?.[0] ?? '') : undefined;
    const value = changed && attribute(node, 'value');
    if (!changed || !value) return node;
    return { ...node, attribute: node.attribute!.map((each) => (each === value ? { ...each, t: changed } : each)) };
  }
}

/** ‖found − wanted‖ ÷ ‖wanted‖; of zero weights ‖found‖, and NaN for non-finite ones. */
export function relativeError(found: Float32Array, wanted: Float32Array): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < wanted.length; i++) {
    difference += (found[i]! - wanted[i]!) ** 2;
    size += wanted[i]! ** 2;
  }
  return size === 0 ? Math.sqrt(difference) : Math.sqrt(difference / size);
}
