/** @file Corrects exporter scopes that differ from torch's module paths, using the parameters' names. */

import type { GraphProto } from '../graph/proto.ts';
import { allNodes, type GraphIndex } from '../graph/walk.ts';
import { scopeOf } from './modulePath.ts';

/** Maps a scope path to its module path: modules with children called directly (OPT's `model`) have no scope. */
export function scopeCompletion(graph: GraphProto, index: GraphIndex): (scope: string) => string {
  const votes = new Map<string, Map<string, number>>();
  for (const node of allNodes(graph)) {
    const scope = scopeOf(node);
    if (scope === undefined) continue;
    for (const name of node.input ?? []) {
      const stored = storedName(name, index);
      const prefix = stored === undefined ? undefined : prefixBefore(scope, stored);
      if (prefix === undefined) continue;
      const own = votes.get(firstPart(scope)) ?? new Map<string, number>();
      votes.set(firstPart(scope), own.set(prefix, (own.get(prefix) ?? 0) + 1));
    }
  }
  const prefixes = new Map(
    [...votes].filter(([, own]) => own.size === 1).map(([first, own]) => [first, [...own.keys()][0]!]),
  );
  return (scope) => `${prefixes.get(firstPart(scope)) ?? ''}${scope}`;
}

/** The constant behind a value; parameters in 16 bits are cast for their layers. */
function storedName(value: string, { constants, producer }: GraphIndex): string | undefined {
  if (constants.has(value)) return value;
  const maker = producer.get(value);
  const [name = ''] = maker?.opType === 'Cast' ? maker.input! : [];
  return constants.has(name) ? name : undefined;
}

/** The part of a parameter name before the scope: `model.` for `model.norm.weight` in scope `norm`. */
function prefixBefore(scope: string, parameter: string): string | undefined {
  const module = parameter.slice(0, Math.max(0, parameter.lastIndexOf('.')));
  if (module === scope) return '';
  return module.endsWith(`.${scope}`) ? module.slice(0, -scope.length) : undefined;
}

function firstPart(path: string): string {
  return path.split('.', 1)[0]!;
}

/** Undoes TorchScript's call numbers: the second `attention.query` is `attention/query_1` or `attention_1/query`. */
export function uncountedPaths(path: string): string[] {
  const parts = path.split('.');
  const counted = parts.flatMap((part, i) => (/_\d+$/.test(part) ? [i] : []));
  const variants: string[] = [];
  // Few parts end in a number; with more than four, the outer ones are names.
  const last = counted.slice(-4);
  for (let mask = 1; mask < 1 << last.length; mask++)
    variants.push(
      parts
        .map((part, i) => (mask & (1 << last.indexOf(i)) && last.includes(i) ? part.replace(/_\d+$/, '') : part))
        .join('.'),
    );
  return variants;
}
