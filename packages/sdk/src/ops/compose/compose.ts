/** @file Composes graphs: outputs of one become inputs of the next, so that a loss at the end reaches the first. */

import { compareBytes } from '../../platform/bytes.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import type {
  GraphProto,
  ModelProto,
  NodeProto,
  OperatorSetId,
  StringStringEntry,
  TensorProto,
  ValueInfoProto,
} from '../../graph/proto.ts';
import { freshNames } from '../../graph/uniqueNames.ts';
import { OnnxLoraError } from '../../errors.ts';
import { FunctionNames, SizeNames } from './partNames.ts';
import { type GraphPart, type PlannedPart, planPorts } from './ports.ts';
import { isStandard } from '../domains.ts';
import { changedBetween } from '../functions/functionChecks.ts';
import { blocksOf, byteLength, type Bytes, isInFile, readBytes } from '../../graph/bytes.ts';
import { rawBytes } from '../../graph/tensorData.ts';

/**
 * Composes several models into one, with weights left on disk. Taken names of nodes, values, functions and dimensions
 * get a suffix, which keeps module paths readable; equal initializers of one name are shared. Dimensions of one name in
 * two parts are equal only where an output meets an input.
 * @param parts each reads only from earlier ones
 * @param outputs names of the outputs to keep; default those that no part reads
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if nothing connects parts, types or sizes differ, or opsets are
 *   incompatible
 */
export function compose(
  parts: readonly GraphPart[],
  { outputs }: { readonly outputs?: readonly string[] | undefined } = {},
): ModelProto & { graph: GraphProto } {
  const opsetImport = commonOpsets(parts);
  const plan = planPorts(parts);
  const taken = new Set(plan.flatMap(({ inputs, outputs: own }) => [...inputs, ...own].map(({ name }) => name)));
  const functions = new FunctionNames();
  const sizes = new SizeNames();
  const nodeNames = new Map<string, number>();
  let whole: Whole = { node: [], initializer: [], sparseInitializer: [], input: [], output: [], valueInfo: [] };
  for (const [i, part] of plan.entries()) {
    const { graph } = functions.renamed(parts[i]!.model, parts[i]!.name);
    whole = withPart(whole, sizes.renamed(graph, part), part, { taken, nodeNames });
  }
  const models = parts.map(({ model }) => model);
  const metadataProps = joinedMetadata(models);
  const named = sizes.resolved(whole);
  const { unknown: _, ...first } = models[0]!;
  return {
    ...first,
    irVersion: Math.max(...models.map(({ irVersion = 0 }) => irVersion)),
    opsetImport,
    ...(metadataProps.length > 0 ? { metadataProps } : {}),
    ...(functions.all.length > 0 ? { functions: functions.all } : {}),
    graph: {
      name: parts.map(({ name }) => name).join('+'),
      ...named,
      output: keptOutputs(named.output, plan, outputs),
    },
  };
}

type Whole = Required<
  Pick<GraphProto, 'node' | 'initializer' | 'sparseInitializer' | 'input' | 'output' | 'valueInfo'>
>;

function withPart(
  whole: Whole,
  graph: GraphProto,
  { inputs, outputs }: PlannedPart,
  { taken, nodeNames }: { readonly taken: Set<string>; readonly nodeNames: Map<string, number> },
): Whole {
  const given = new Map(inputs.map(({ own, name }) => [own, name]));
  const copies: NodeProto[] = [];
  for (const { own, name } of outputs) {
    const source = given.get(own);
    if (source === undefined) given.set(own, name);
    else if (source !== name) copies.push({ opType: 'Identity', name, input: [source], output: [name] });
  }
  const before = new Map(whole.initializer.map((tensor) => [tensor.name ?? '', tensor]));
  const initializer = (graph.initializer ?? []).filter((tensor) => {
    const name = tensor.name ?? '';
    const same = given.has(name) ? undefined : before.get(name);
    if (!same || !isSameTensor(same, tensor)) return true;
    given.set(name, name);
    return false;
  });
  const constants = new Set((graph.initializer ?? []).map(({ name }) => name));
  const fresh = freshNames(
    { ...graph, initializer, input: (graph.input ?? []).filter(({ name }) => !constants.has(name)) },
    taken,
    given,
  );
  const reads = new Set(inputs.filter(({ isRead }) => isRead).map(({ name }) => name));
  const present = new Set(whole.input.map(({ name }) => name));
  const infos = new Map((graph.output ?? []).map((info) => [info.name ?? '', info]));
  const isNew = ({ name = '' }: ValueInfoProto): boolean => !reads.has(name) && !present.has(name);
  const nodes = [...(fresh.node ?? []), ...copies].map((node) => withFreeName(node, nodeNames));
  return {
    node: [...whole.node, ...nodes],
    initializer: [...whole.initializer, ...(fresh.initializer ?? [])],
    sparseInitializer: [...whole.sparseInitializer, ...(fresh.sparseInitializer ?? [])],
    valueInfo: [...whole.valueInfo, ...(fresh.valueInfo ?? [])],
    input: [...whole.input, ...(fresh.input ?? []).filter(isNew)],
    output: [...whole.output, ...outputs.map(({ own, name }): ValueInfoProto => ({ ...infos.get(own), name }))],
  };
}

/** ONNX Runtime rejects duplicate node names. `taken` holds the last suffix of each name. */
function withFreeName(node: NodeProto, taken: Map<string, number>): NodeProto {
  if (!node.name) return node;
  let number = taken.get(node.name);
  if (number === undefined) {
    taken.set(node.name, 0);
    return node;
  }
  // Exporters use the same suffix.
  do number++;
  while (taken.has(`${node.name}_${number}`));
  const name = `${node.name}_${number}`;
  taken.set(node.name, number).set(name, 0);
  return { ...node, name };
}

function keptOutputs(
  all: readonly ValueInfoProto[],
  plan: readonly PlannedPart[],
  wanted: readonly string[] | undefined,
): ValueInfoProto[] {
  const read = new Set(plan.flatMap(({ inputs }) => inputs.filter(({ isRead }) => isRead).map(({ name }) => name)));
  if (!wanted) return all.filter(({ name = '' }) => !read.has(name));
  return wanted.map((name) => {
    const found = all.find((info) => info.name === name);
    if (found) return found;
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `None of the model's files has an output "${name}". Their outputs are ${all.map((info) => `"${info.name}" (${dataTypeName(info.type?.tensorType?.elemType) ?? 'of no known type'})`).join(', ')}.`,
    );
  });
}

/** Metadata of all parts; for a duplicate key the earliest. */
function joinedMetadata(models: readonly ModelProto[]): StringStringEntry[] {
  const entries = new Map<string | undefined, StringStringEntry>();
  for (const entry of models.flatMap(({ metadataProps = [] }) => metadataProps))
    if (!entries.has(entry.key)) entries.set(entry.key, entry);
  return [...entries.values()];
}

/** Since this opset operators broadcast as now. */
const FIRST_MODERN = 7;

/**
 * Newest version of each operator set.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an operator that changed up to it
 */
function commonOpsets(parts: readonly GraphPart[]): OperatorSetId[] {
  const newest = new Map<string, number>();
  for (const { domain, version } of parts.flatMap(importsOf))
    newest.set(domain, Math.max(version, newest.get(domain) ?? 0));
  for (const part of parts) {
    for (const { domain, version } of importsOf(part)) {
      const wanted = newest.get(domain)!;
      if (version === wanted) continue;
      const reason = domain === '' ? reasonAgainst(part, version, wanted) : 'whose changes are not known';
      if (reason === undefined) continue;
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${part.name}" is written for version ${version} of the ${domain === '' ? 'standard operators' : `operators of ${domain}`}, another file of the model for version ${wanted}, ${reason}. Export all files with one opset, or convert this one with onnx.version_converter.`,
      );
    }
  }
  return [...newest].map(([domain, version]) => ({ domain, version }));
}

function reasonAgainst({ model }: GraphPart, from: number, to: number): string | undefined {
  if (from < FIRST_MODERN) return 'and what lies between is too much to be read alike';
  const changed = changedBetween(model.graph.node ?? [], from, to);
  return changed && `and ${changed.opType} changed between them`;
}

function importsOf({ model }: GraphPart): { readonly domain: string; readonly version: number }[] {
  return (model.opsetImport ?? []).map(({ domain = '', version = 0 }) => ({
    domain: isStandard(domain) ? '' : domain,
    version,
  }));
}

/** Whether type, shape and bytes are equal; bytes are read last. */
export function isSameTensor(a: TensorProto, b: TensorProto): boolean {
  if (a.dataType !== b.dataType || (a.dims ?? []).join() !== (b.dims ?? []).join()) return false;
  const [left, right] = [rawBytes(a), rawBytes(b)];
  return left !== undefined && right !== undefined && haveSameBytes(left, right);
}

function haveSameBytes(a: Bytes, b: Bytes): boolean {
  if (byteLength(a) !== byteLength(b)) return false;
  if (!isInFile(a) || !isInFile(b)) return compareBytes(readBytes(a), readBytes(b)) === 0;
  if (a.path === b.path && a.offset === b.offset) return true;
  const other = blocksOf(b);
  for (const block of blocksOf(a)) if (compareBytes(block, other.next().value as Uint8Array) !== 0) return false;
  return true;
}
