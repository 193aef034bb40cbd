/** @file PEFT's rules for which module a target names, one function per rule. */

import { OnnxLoraError } from '../errors.ts';
import { type Pattern, PatternWork, compilePattern } from './patternMatch.ts';

/** The fields of a config that choose modules, with PEFT's meaning; absent and `null` are PEFT's None. */
export interface TargetConfig {
  readonly targetModules?: string | readonly string[] | null | undefined;
  readonly excludeModules?: string | readonly string[] | null | undefined;
  readonly modulesToSave?: readonly string[] | null | undefined;
  readonly layersToTransform?: number | readonly number[] | null | undefined;
  readonly layersPattern?: string | readonly string[] | null | undefined;
  readonly rankPattern?: Readonly<Record<string, number>> | null | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | null | undefined;
  readonly taskType?: string | null | undefined;
  /** Full names of parameters that are adapted beside the modules: patterns for rank and alpha may mean them. */
  readonly targetParameters?: readonly string[] | null | undefined;
}

/** A test of module paths: a pattern for the whole path, or a list of names. */
export interface NameRule {
  /** Whether the path is meant. */
  matches(path: string): boolean;
  /** Whether a list holds the path itself, and not just its end. */
  matchesExactly(path: string): boolean;
}

/**
 * A string is a pattern that must match the whole path. An entry of a list must be the path, or its end after a dot:
 * "q_proj" means "a.q_proj", "proj" does not.
 *
 * @param work shared by the patterns of a config
 */
export function nameRule(
  names: string | readonly string[],
  where: string,
  work: PatternWork = new PatternWork(),
): NameRule {
  if (typeof names === 'string') {
    const pattern = compilePattern(names, where, work);
    return { matches: (path) => pattern.fullMatch(path), matchesExactly: () => false };
  }
  const set = new Set(names);
  const lengths = new Set(names.map(({ length }) => length));
  const matches = (path: string): boolean => {
    for (let at = 0; ; at = path.indexOf('.', at) + 1) {
      // Most ends have no name's length, and are not cut out.
      if (lengths.has(path.length - at) && set.has(path.slice(at))) return true;
      if (!path.includes('.', at)) return false;
    }
  };
  return { matches, matchesExactly: (path) => set.has(path) };
}

/** The path, and what follows each of its dots. */
export function endings(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(i).join('.'));
}

/** Tests whether a module is trained in full, or must not be adapted because it may be. */
export interface SavedRule {
  /** Whether the module, or a module around it, is wrapped as a whole. PEFT asks for no dot before the name. */
  wraps(path: string): boolean;
  /** Whether an adapter would touch such a module. */
  forbids(path: string): boolean;
}

/**
 * PEFT's two rules for `modules_to_save`: which modules are wrapped, and which are barred from being targets.
 *
 * @param work shared by the patterns of a config
 */
export function savedRule(names: readonly string[], work: PatternWork = new PatternWork()): SavedRule {
  const patterns = names.map((name) => compilePattern(name, 'modulesToSave', work));
  const wraps = (path: string): boolean => {
    for (let end = path.indexOf('.'); ; end = path.indexOf('.', end + 1)) {
      const around = end < 0 ? path : path.slice(0, end);
      work.spend(names.length, 'modulesToSave');
      if (names.some((name) => around.endsWith(name))) return true;
      if (end < 0) return false;
    }
  };
  return { wraps, forbids: (path) => wraps(path) || patterns.some((pattern) => pattern.partMatch(path)) };
}

/** Finds the number of the layer that a module lies in. */
export interface LayerRule {
  /** The layer numbers that are wanted; undefined when all are. */
  readonly wanted: ReadonlySet<number> | undefined;
  /** The number in a path, by the first pattern that finds one. */
  numberIn(path: string): number | undefined;
  /** The number in a path by the pattern at this position of `layersPattern`. */
  numberBy(pattern: number, path: string): number | undefined;
}

/**
 * PEFT's rule for `layers_to_transform`: the first number that follows a part of the path matching `layers_pattern`,
 * or any part, provided that something stands before that part and after the number.
 *
 * @param work shared by the patterns of a config
 * @throws OnnxLoraError `CONFIG_INVALID` for combinations that PEFT refuses.
 */
export function layerRule(config: TargetConfig, work: PatternWork = new PatternWork()): LayerRule {
  const { layersToTransform, layersPattern, targetModules } = config;
  const wanted = typeof layersToTransform === 'number' ? [layersToTransform] : (layersToTransform ?? []);
  const sources = typeof layersPattern === 'string' ? [layersPattern].filter(Boolean) : (layersPattern ?? []);
  if (typeof targetModules === 'string' && (wanted.length > 0 || sources.length > 0)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `${wanted.length > 0 ? 'layersToTransform' : 'layersPattern'} limits a list of names, but targetModules is the ${targetModules.toLowerCase() === ALL_LINEAR ? 'word' : 'pattern'} "${targetModules}". Pass targetModules as a list.`,
    );
  }
  if (sources.length > 0 && wanted.length === 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'layersPattern needs layersToTransform: say which layer numbers to adapt.',
    );
  }
  const patterns = (sources.length > 0 ? sources : ['[^.]*']).map((source) =>
    compilePattern(source, 'layersPattern', work),
  );
  return {
    wanted: wanted.length > 0 ? new Set(wanted) : undefined,
    numberIn: (path) => {
      for (const pattern of patterns) {
        const number = layerNumber(pattern, path);
        if (number !== undefined) return number;
      }
      return undefined;
    },
    numberBy: (i, path) => layerNumber(patterns[i]!, path),
  };
}

/** Group 1 of `re.match(r".*?\.PATTERN\.(\d+)\.", path)`. */
function layerNumber(pattern: Pattern, path: string): number | undefined {
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    // Greedy: of several ends the last one that fits.
    for (const end of pattern.ends(path, dot + 1).toReversed()) {
      const number = /^\.(\d+)\./.exec(path.slice(end));
      if (number) return Number(number[1]);
    }
  }
  return undefined;
}

/** PEFT's word for all linear modules; upper and lower case are the same. */
export const ALL_LINEAR = 'all-linear';

/**
 * The names that stand for `all-linear`: every linear module but the output layer, those joined of others whole. Where that is unknown, a sequence
 * classifier's head is left out: `score`, else `classifier`.
 */
export function allLinear(
  modules: readonly { readonly path: string; readonly kind: string; readonly partOf?: string }[],
  taskType: string | null | undefined,
  outputEmbedding: string | undefined,
): string[] {
  const exists = (name: string): boolean => modules.some(({ path }) => path === name || path.startsWith(`${name}.`));
  const head = outputEmbedding ?? (taskType === 'SEQ_CLS' ? ['score', 'classifier'].find(exists) : undefined);
  const isMeant = ({ path, kind, partOf }: (typeof modules)[number]): boolean =>
    kind === 'linear' && partOf === undefined && path !== head;
  return modules.filter(isMeant).map(({ path }) => path);
}
