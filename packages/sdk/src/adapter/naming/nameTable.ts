/** @file Tables of module names in transformers 4 and 5, and translation by them. */

/** A naming generation: transformers' major version. */
export type Generation = 4 | 5;

/**
 * A module name in both generations: `{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }`.
 * Matches whole parts anywhere in a path, or with `^` at its start, and keeps the rest. `{n}` is a number, in the same
 * order on both sides. If one side is missing, the module was split or joined and has no counterpart.
 */
export interface NamePair {
  /** The name in transformers 4. */
  readonly 4?: string;
  /** The name in transformers 5. */
  readonly 5?: string;
}

/** Pairs of a family, or of some of its classes. */
export interface NameTable {
  /** Classes of transformers (`architectures` in config.json) with these pairs; all of the family if absent. */
  readonly architectures?: readonly string[];
  /** The pairs; longer names go before shorter ones that they contain. */
  readonly pairs: readonly NamePair[];
}

/** The other generation. */
export function otherGeneration(generation: Generation): Generation {
  return generation === 4 ? 5 : 4;
}

/**
 * Translates a path to a generation, by the longest matching name. Paths without a pair, or already translated, stay.
 * Undefined for a module without a counterpart.
 */
export function translatePath(path: string, { pairs }: NameTable, to: Generation): string | undefined {
  const found = findPair(path, compile(pairs, to));
  if (!found) return path;
  const { rule, start, numbers, parts } = found;
  if (!rule.target) return undefined;
  return [...parts.slice(0, start), ...filled(rule.target, numbers), ...parts.slice(start + rule.source.length)].join(
    '.',
  );
}

/**
 * The paths implied by a module: itself, and other pairs with its prefix and numbers, in the generation other than
 * `to`.
 */
export function siblingPaths(path: string, { pairs }: NameTable, to: Generation): string[] {
  const rules = compile(pairs, to);
  const found = findPair(path, rules);
  if (!found) return [path];
  const { start, numbers, parts, rule } = found;
  const others = rules.filter(({ source, anchored }) => anchored === rule.anchored && count(source) === numbers.length);
  return [path, ...others.map(({ source }) => [...parts.slice(0, start), ...filled(source, numbers)].join('.'))];
}

const NUMBER = '{n}';

interface Rule {
  readonly source: readonly string[];
  readonly anchored: boolean;
  readonly target: readonly string[] | undefined;
}

interface Found {
  readonly rule: Rule;
  readonly parts: readonly string[];
  readonly start: number;
  readonly numbers: readonly string[];
}

const compiled = new WeakMap<readonly NamePair[], Map<Generation, readonly Rule[]>>();

/** Rules towards a generation, long names first. Cached: an adapter asks for hundreds of paths. */
function compile(pairs: readonly NamePair[], to: Generation): readonly Rule[] {
  const known = compiled.get(pairs) ?? new Map<Generation, readonly Rule[]>();
  compiled.set(pairs, known);
  const before = known.get(to);
  if (before) return before;
  const rules = pairs.flatMap((pair) => {
    const source = pair[otherGeneration(to)];
    return source === undefined ? [] : [makeRule(source, pair[to])];
  });
  rules.sort((a, b) => b.source.length - a.source.length);
  known.set(to, rules);
  return rules;
}

function makeRule(source: string, target: string | undefined): Rule {
  return {
    source: split(source),
    anchored: source.startsWith('^'),
    target: target === undefined ? target : split(target),
  };
}

function split(name: string): string[] {
  return name.replace(/^\^/, '').split('.');
}

function findPair(path: string, rules: readonly Rule[]): Found | undefined {
  const parts = path.split('.');
  for (const rule of rules) {
    const last = rule.anchored ? 0 : parts.length - rule.source.length;
    for (let start = 0; start <= last; start++) {
      const fits = rule.source.every((name, i) => fitsPart(name, parts[start + i]));
      if (!fits) continue;
      const numbers = rule.source.flatMap((name, i) => (name === NUMBER ? [parts[start + i]!] : []));
      return { rule, parts, start, numbers };
    }
  }
  return undefined;
}

function fitsPart(name: string, part: string | undefined): boolean {
  return name === NUMBER ? /^\d+$/.test(part ?? '') : name === part;
}

function filled(name: readonly string[], numbers: readonly string[]): string[] {
  let next = 0;
  return name.map((part) => (part === NUMBER ? numbers[next++]! : part));
}

function count(name: readonly string[]): number {
  return name.filter((part) => part === NUMBER).length;
}
