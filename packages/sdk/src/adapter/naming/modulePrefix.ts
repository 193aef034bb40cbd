/** @file Module names of an adapter and of a graph that is a part of the adapter's model, or has it as a part. */

import { basename } from 'node:path';
import { OnnxLoraError } from '../../errors.ts';

/** What module names begin with on either side, where the rest is the same. */
export interface PrefixChange {
  /** What names in the adapter begin with; may be empty. */
  readonly inAdapter: string;
  /** What paths of the graph begin with; may be empty. */
  readonly inGraph: string;
}

/** Longer than what stands around any part. Names come from strangers, and each of their beginnings is tried. */
const MAX_PREFIX = 500;

const none: PrefixChange = { inAdapter: '', inGraph: '' };

/**
 * An encoder that was exported by itself calls its modules from its own root: `layers.0.fc1`, where the adapter of the
 * whole model says `model.encoder.layers.0.fc1`. And an adapter that was trained on a bare encoder says
 * `encoder.layer.0.dense` where a graph with a head says `bert.encoder.layer.0.dense`. No change where names fit as they
 * are, or nothing fits.
 *
 * @param modules the adapter's
 * @param paths the graph's
 * @param file path of the model: of an encoder's and a decoder's modules, those whose name it has are meant
 * @throws OnnxLoraError `ADAPTER_MISMATCH` when several parts of the adapter fit equally well
 */
export function prefixChange(modules: readonly string[], paths: readonly string[], file: string): PrefixChange {
  const plain = modules.map(withoutWrappers);
  const own = new Set(paths);
  if (plain.some((module) => own.has(module))) return none;
  const inAdapter = bestPrefix(plain, own, file);
  if (inAdapter !== undefined) return { inAdapter, inGraph: '' };
  const inGraph = bestPrefix(paths, new Set(plain), file);
  return inGraph === undefined ? none : { inAdapter: '', inGraph };
}

/** Whether a graph with these paths has every module of an adapter under its own name. */
export function hasAll(paths: readonly string[], modules: readonly string[]): boolean {
  const own = new Set(paths);
  return modules.every((module) => own.has(withoutWrappers(module)));
}

/** A module's name in the model: PEFT's wrappers are no part of it. */
function withoutWrappers(module: string): string {
  return module.replaceAll('.base_layer', '');
}

/**
 * The change for a file whose modules lack `path`, which those of the whole model have, from the change for the whole.
 *
 * @returns undefined where the adapter is for another part of the whole
 */
export function changeInPart({ inAdapter, inGraph }: PrefixChange, path: string): PrefixChange | undefined {
  const own = path === '' ? '' : `${path}.`;
  if (inGraph.startsWith(own)) return { inAdapter, inGraph: inGraph.slice(own.length) };
  return own.startsWith(inGraph) ? { inAdapter: `${inAdapter}${own.slice(inGraph.length)}`, inGraph: '' } : undefined;
}

/** The prefix of `long` that leaves most names of `short`; of several parts, the one that the file is named for. */
function bestPrefix(long: readonly string[], short: ReadonlySet<string>, file: string): string | undefined {
  const counts = new Map<string, number>();
  const longest = [...short].reduce((length, name) => Math.max(length, name.length), 0) + MAX_PREFIX;
  for (const name of long) {
    if (name.length > longest) continue;
    for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) {
      const prefix = name.slice(0, at + 1);
      if (short.has(name.slice(at + 1))) counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
    }
  }
  const named = [...counts].filter(([prefix]) => basename(file).toLowerCase().includes(part(prefix).toLowerCase()));
  const [first, second, ...rest] = (named.length > 0 ? named : [...counts]).sort(([, a], [, b]) => b - a);
  if (first?.[1] !== second?.[1]) return first?.[0];
  if (!first || !second) return undefined;
  const candidates = [first, second, ...rest].filter(([, count]) => count === first[1]).map(([prefix]) => prefix);
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `The modules of "${file}" and those of the adapter differ in what their names begin with, and which ones are meant cannot be told: ${candidates.map((prefix) => `"${prefix.slice(0, -1)}"`).join(' and ')} fit equally well. Put the part into the file's name, such as "${part(first[0])}_model.onnx".`,
  );
}

/** `encoder` of `model.encoder.`. */
function part(prefix: string): string {
  return prefix.split('.').at(-2)!;
}
