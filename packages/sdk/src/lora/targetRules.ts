/** @file PEFT's rules for selecting modules by name, one function per rule. */

import { OnnxLoraError } from '../errors.ts';
import { type Pattern, PatternWork, compilePattern } from './patternMatch.ts';

/** The config fields that select modules, with PEFT's meaning; `undefined` and `null` are PEFT's None. */
export interface TargetConfig {
  readonly targetModules?: string | readonly string[] | null | undefined;
  readonly excludeModules?: string | readonly string[] | null | undefined;
  readonly modulesToSave?: readonly string[] | null | undefined;
  readonly layersToTransform?: number | readonly number[] | null | undefined;
  readonly layersPattern?: string | readonly string[] | null | undefined;
  readonly rankPattern?: Readonly<Record<string, number>> | null | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | null | undefined;
  readonly taskType?: string | null | undefined;
  /** Full names of parameters adapted besides modules; rank and alpha patterns may match them. */
  readonly targetParameters?: readonly string[] | null | undefined;
}

/** Matches module paths by a full-path pattern or a list of names. */
export interface NameRule {
  /** Whether the path is selected. */
  matches(path: string): boolean;
  /** Whether a list contains the full path, not just its end. */
  matchesExactly(path: string): boolean;
}

/** A string is a pattern for the whole path; a list entry is the path, or its end after a dot. */
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
      // Most ends have no name's length and are not sliced.
      if (lengths.has(path.length - at) && set.has(path.slice(at))) return true;
      if (!path.includes('.', at)) return false;
    }
  };
  return { matches, matchesExactly: (path) => set.has(path) };
}

/** The path, and its part after each dot. */
export function endings(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(i).join('.'));
}

/** Whether a module is trained in full, or barred as a target because it may be. */
export interface SavedRule {
  /** Whether the module or an enclosing one is wrapped. PEFT requires no dot before the name. */
  wraps(path: string): boolean;
  /** Whether the module cannot be a target. */
  forbids(path: string): boolean;
}

/** PEFT's two rules for `modules_to_save`: modules to wrap, and modules barred as targets. */
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

/** Finds the layer number of a module. */
export interface LayerRule {
  /** The requested layer numbers; undefined for all. */
  readonly wanted: ReadonlySet<number> | undefined;
  /** The number in a path, by the first pattern that finds one. */
  numberIn(path: string): number | undefined;
  /** The number in a path by the pattern at this index of `layersPattern`. */
  numberBy(pattern: number, path: string): number | undefined;
}

/**
 * PEFT's rule for `layers_to_transform`: the first number after a path component that matches `layers_pattern`, or
 * after any, with other components before and after.
 * @throws OnnxLoraError `CONFIG_INVALID` for combinations that PEFT refuses
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

/** PEFT's word for all linear modules, case-insensitive. */
export const ALL_LINEAR = 'all-linear';

/**
 * Modules selected by `all-linear`: every linear one except the output layer, joined projections as a whole. If that
 * layer is unknown, a sequence classifier's head is left out: `score`, else `classifier`.
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
