/** @file Prefixes of module names, if adapter or graph is only a part of the other's model. */

import { basename } from '../../platform/path.ts';
import { OnnxLoraError } from '../../errors.ts';

/** Different prefixes of equal names. */
export interface PrefixChange {
  /** Prefix in the adapter; may be empty. */
  readonly inAdapter: string;
  /** Prefix in the graph; may be empty. */
  readonly inGraph: string;
}

/** Longer than any real prefix: names are untrusted, and every prefix of each is tried. */
const MAX_PREFIX = 500;

const none: PrefixChange = { inAdapter: '', inGraph: '' };

/**
 * Finds the prefix change between an adapter and a graph: an encoder exported alone has `layers.0.fc1` for the whole
 * model's `model.encoder.layers.0.fc1`, and a graph with a head has `bert.encoder.layer.0.dense` for a bare encoder's
 * `encoder.layer.0.dense`. No change if names fit, or nothing does.
 * @param modules the adapter's
 * @param paths the graph's
 * @param file path of the model, whose name decides between parts such as encoder and decoder
 * @throws OnnxLoraError `ADAPTER_MISMATCH` if several parts of the adapter fit equally well
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

/** True if these paths include all of the adapter's modules. */
export function hasAll(paths: readonly string[], modules: readonly string[]): boolean {
  const own = new Set(paths);
  return modules.every((module) => own.has(withoutWrappers(module)));
}

function withoutWrappers(module: string): string {
  return module.replaceAll('.base_layer', '');
}

/** Adjusts the whole model's prefix change to a file with `path` stripped; undefined for another part's adapter. */
export function changeInPart({ inAdapter, inGraph }: PrefixChange, path: string): PrefixChange | undefined {
  const own = path === '' ? '' : `${path}.`;
  if (inGraph.startsWith(own)) return { inAdapter, inGraph: inGraph.slice(own.length) };
  return own.startsWith(inGraph) ? { inAdapter: `${inAdapter}${own.slice(inGraph.length)}`, inGraph: '' } : undefined;
}

/** The prefix of `long` that matches most names in `short`; of equal ones, the one in the file's name. */
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
