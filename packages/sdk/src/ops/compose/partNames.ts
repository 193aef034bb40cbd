/** @file Renames dynamic dimensions and functions of composed models, shared only where parts connect or agree. */

import { compareBytes, concatBytes } from '../../platform/bytes.ts';
import { OnnxLoraError } from '../../errors.ts';
import type {
  DimensionProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TypeProto,
  ValueInfoProto,
} from '../../graph/proto.ts';
import { withInner, withSubgraphs } from '../../graph/uniqueNames.ts';
import type { PlannedPart } from './ports.ts';
import { readBytes } from '../../graph/bytes.ts';
import { encodeModel } from '../../graph/file/encode.ts';
import { functionKey } from '../functions/functionCall.ts';

type Size = string | number;

/** Collects dimension names part by part. */
export class SizeNames {
  /** Aliases of dimensions. */
  readonly #same = new Map<string, Size>();
  /** Names used for several sizes, as some exporters do; they say nothing. */
  readonly #ambiguous = new Set<Size>();
  readonly #taken = new Set<string>();
  /** Output types of earlier parts, by their names in the whole. */
  readonly #outputs = new Map<string, TypeProto | undefined>();

  /**
   * Renames dimensions of a part.
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` if a connected output and input differ in size
   */
  renamed(graph: GraphProto, { part, inputs, outputs }: PlannedPart): GraphProto {
    const names = new Map<string, Size>();
    for (const { own, name, info, isRead } of inputs) {
      if (!isRead) continue;
      const [from, to] = [dimsOf(this.#outputs.get(name)), dimsOf(info.type)];
      if (!from || !to) continue;
      const places = `"${name}" has the shape [${from.map(sizeOf).join(', ')}], but "${part}" reads it as [${to.map(sizeOf).join(', ')}] ("${own}")`;
      if (from.length !== to.length) throw differ(places);
      for (const [i, dim] of from.entries()) this.#meet(sizeOf(dim), sizeOf(to[i]!), names, places);
    }
    const rename = (name: string): Size => {
      const known = names.get(name);
      if (known !== undefined) return known;
      let free = name;
      for (let number = 0; this.#taken.has(free); number++)
        free = number === 0 ? `${part}.${name}` : `${part}.${name}.${number}`;
      names.set(name, free);
      return free;
    };
    const result = mapSizes(graph, rename);
    for (const name of names.values()) if (typeof name === 'string') this.#taken.add(name);
    const types = new Map((result.output ?? []).map(({ name = '', type }) => [name, type]));
    for (const { own, name } of outputs) this.#outputs.set(name, types.get(own));
    return result;
  }

  /** The whole with aliases resolved, to numbers where one part knows them. */
  resolved<G extends GraphProto>(graph: G): G {
    return this.#same.size > 0 ? (mapSizes(graph, (name) => this.#resolve(name)) as G) : graph;
  }

  #resolve(size: Size): Size {
    let found = size;
    while (typeof found === 'string' && this.#same.has(found)) found = this.#same.get(found)!;
    return found;
  }

  #meet(fromSize: Size, to: Size, names: Map<string, Size>, places: string): void {
    const target = typeof to === 'string' ? (names.get(to) ?? to) : to;
    if (fromSize === '' || to === '' || this.#ambiguous.has(fromSize) || this.#ambiguous.has(target)) return;
    const [from, known] = [this.#resolve(fromSize), this.#resolve(target)];
    if (typeof to === 'string' && !names.has(to)) names.set(to, from);
    else if (known === from) return;
    else if (typeof from === 'string') this.#same.set(from, known);
    else if (typeof known === 'string') this.#same.set(known, from);
    else if (typeof fromSize === 'number' && typeof target === 'number') throw differ(places);
    else this.#forget(...[fromSize, target].filter((size) => typeof size === 'string'));
  }

  #forget(...names: readonly string[]): void {
    for (const name of names) {
      this.#same.delete(name);
      this.#ambiguous.add(name);
    }
  }
}

function differ(places: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `${places}. Use files of one and the same model.`);
}

function dimsOf(type: TypeProto | undefined): readonly DimensionProto[] | undefined {
  return type?.tensorType?.shape?.dim;
}

/** Empty for an unknown size. */
function sizeOf({ dimParam, dimValue }: DimensionProto): Size {
  return dimParam ?? dimValue ?? '';
}

function mapSizes(graph: GraphProto, change: (name: string) => Size): GraphProto {
  const dim = (each: DimensionProto): DimensionProto => {
    if (!each.dimParam) return each;
    const { dimParam, dimValue: _, ...rest } = each;
    const size = change(dimParam);
    return typeof size === 'string' ? { ...rest, dimParam: size } : { ...rest, dimValue: size };
  };
  const infos = (all: readonly ValueInfoProto[] = []): ValueInfoProto[] =>
    all.map((info) => {
      const shape = info.type?.tensorType?.shape;
      if (!shape?.dim) return info;
      const tensorType = { ...info.type!.tensorType, shape: { ...shape, dim: shape.dim.map(dim) } };
      return { ...info, type: { ...info.type, tensorType } };
    });
  return {
    ...withSubgraphs(graph, (inner) => mapSizes(inner, change)),
    input: infos(graph.input),
    output: infos(graph.output),
    valueInfo: infos(graph.valueInfo),
  };
}

/** Collects functions part by part. */
export class FunctionNames {
  readonly all: FunctionProto[] = [];
  readonly #known = new Map<string, FunctionProto>();

  /** The part, with functions renamed whose name is known with other content. */
  renamed(model: ModelProto & { readonly graph: GraphProto }, part: string): { readonly graph: GraphProto } {
    const { functions = [], graph } = model;
    const names = new Map<string, string>();
    const added: [string, FunctionProto][] = [];
    for (const each of functions) {
      const key = functionKey(each);
      const before = this.#known.get(key);
      if (before && isSame(before, each)) continue;
      if (!before) {
        added.push([key, each]);
        continue;
      }
      let name = `${each.name}_${part}`;
      for (let number = 1; this.#known.has(functionKey({ ...each, name })); number++)
        name = `${each.name}_${part}_${number}`;
      names.set(key, name);
      added.push([functionKey({ ...each, name }), { ...each, name }]);
    }
    const renamed = (node: NodeProto): NodeProto => {
      const name = names.get(functionKey({ ...node, name: node.opType ?? '' }));
      return withInner(name === undefined ? node : { ...node, opType: name }, inGraph);
    };
    const inGraph = (each: GraphProto): GraphProto => ({ ...each, node: (each.node ?? []).map(renamed) });
    for (const [key, each] of added) {
      const own = names.size > 0 ? { ...each, node: (each.node ?? []).map(renamed) } : each;
      this.#known.set(key, own);
      this.all.push(own);
    }
    return { graph: names.size > 0 ? inGraph(graph) : graph };
  }
}

function isSame(a: FunctionProto, b: FunctionProto): boolean {
  const [left, right] = [a, b].map((each) => concatBytes(encodeModel({ functions: [each] }).map(readBytes)));
  return compareBytes(left!, right!) === 0;
}
