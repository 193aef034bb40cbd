/** @file Module paths under the names of transformers 4 and 5: what a table of both looks like, and how it is read. */

/** A generation of module names, by the major version of transformers that has them. */
export type Generation = 4 | 5;

/**
 * One module, or part of a path, under both generations of names:
 * `{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }`.
 *
 * A name stands for whole parts of a path, wherever they occur in it; what comes before and after is kept. `{n}` is a
 * number, the same on both sides and in the same order. A name that begins with `^` occurs at the beginning of a path
 * only. Where one side is missing, the module has no counterpart: it was split, or joined with another.
 */
export interface NamePair {
  /** The name that transformers 4 gives it. */
  readonly 4?: string;
  /** The name that transformers 5 gives it. */
  readonly 5?: string;
}

/** The pairs of a family, or of some of its classes. */
export interface NameTable {
  /**
   * Classes of transformers (`architectures` in config.json) that the pairs hold for; every class of the family where
   * this is absent. For prefixes that one class has and another has not.
   */
  readonly architectures?: readonly string[];
  /** The names; a longer one goes before a shorter one that it contains. */
  readonly pairs: readonly NamePair[];
}

/** The other one. */
export function otherGeneration(generation: Generation): Generation {
  return generation === 4 ? 5 : 4;
}

/**
 * The path of the same module in a generation of names. Paths that the table does not speak of are the same in both, and
 * a path that has the wanted names already is returned as it is. Of several pairs that fit, the longest name decides.
 *
 * @returns undefined for a module without a counterpart
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
 * The paths that a model with this module has, as far as the table knows: those of the other pairs with the same prefix
 * and the same numbers, in the generation that is not `to`. With the path itself.
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

/** A pair read in one direction. */
interface Rule {
  readonly source: readonly string[];
  readonly anchored: boolean;
  readonly target: readonly string[] | undefined;
}

interface Found {
  readonly rule: Rule;
  readonly parts: readonly string[];
  /** Where in the path the name begins. */
  readonly start: number;
  readonly numbers: readonly string[];
}

const compiled = new WeakMap<readonly NamePair[], Map<Generation, readonly Rule[]>>();

/** The rules towards a generation, long names first. An adapter asks for hundreds of paths; names are split once. */
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
