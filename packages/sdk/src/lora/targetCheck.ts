/** @file Finds config entries without effect and suggests corrections. */

import { quote } from '../adapter/formats/foreignJson.ts';
import { OnnxLoraError, didYouMean } from '../errors.ts';
import { compilePattern } from './patternMatch.ts';
import { type LayerRule, type TargetConfig, endings, nameRule } from './targetRules.ts';

interface Named {
  readonly path: string;
  readonly kind: string;
  readonly partOf?: string;
}

/** Checks a config against a model after module selection. */
export class TargetCheck {
  readonly #modules: readonly Named[];
  readonly #adaptable: readonly Named[];
  readonly #config: TargetConfig;
  readonly #where: string;

  constructor(modules: readonly Named[], adaptable: readonly Named[], config: TargetConfig, model: string | undefined) {
    this.#modules = modules;
    this.#adaptable = adaptable;
    this.#config = config;
    this.#where = model === undefined ? '' : ` in "${model}"`;
  }

  /** @throws OnnxLoraError `TARGET_NOT_FOUND` for the first kind of entry that matches nothing */
  check(
    selected: { readonly targets: readonly string[]; readonly modulesToSave: readonly string[] },
    isAllLinear: boolean,
    layers: LayerRule,
  ): void {
    const { targetModules, excludeModules, modulesToSave } = this.#config;
    if (targetModules === null || targetModules === undefined) {
      this.#fail(`targetModules says nothing${this.#where}: which modules should be adapted?`);
    }
    if (!isAllLinear) {
      this.#checkNames('targetModules', targetModules, this.#adaptable);
      this.#checkOwners(targetModules);
    }
    this.#checkNames('excludeModules', excludeModules || [], this.#modules);
    this.#checkSaved(modulesToSave ?? []);
    this.#checkLayers(layers);
    if (selected.targets.length === 0 && targetModules.length > 0) {
      this.#fail(
        `Nothing is left to adapt${this.#where}: what targetModules names is ruled out by excludeModules, modulesToSave or layersToTransform.`,
      );
    }
    const adapted = [...selected.targets, ...(this.#config.targetParameters ?? [])];
    this.#checkParameters(selected.targets);
    this.#checkTable('rankPattern', adapted);
    this.#checkTable('alphaPattern', adapted);
  }

  #checkNames(field: string, names: string | readonly string[], modules: readonly Named[]): void {
    if (typeof names === 'string') {
      const rule = nameRule(names, field);
      if (modules.some(({ path }) => rule.matches(path))) return;
      // The most common mistake: a name instead of a pattern for full paths.
      const isName = this.#modules.some(({ path }) => endings(path).includes(names))
        ? ` A single string is a pattern for full paths; for module names pass a list: ["${names}"].`
        : '';
      this.#fail(`No module${this.#where} matches the ${field} pattern ${quote(names)}.${isName}`);
    }
    const existing = new Set(modules.flatMap(({ path }) => endings(path)));
    this.#failOn(
      field,
      names.filter((name) => !existing.has(name)),
    );
  }

  /** Rejects an entry that only names parts of layers adapted as a whole: a weight has one adapter. */
  #checkOwners(names: string | readonly string[]): void {
    if (typeof names === 'string') return;
    const rule = nameRule(names, 'targetModules');
    for (const name of names) {
      const own = nameRule([name], 'targetModules');
      const meant = this.#adaptable.filter(({ path }) => own.matches(path));
      const [first] = meant;
      if (!first || !meant.every(({ partOf }) => partOf !== undefined && rule.matches(partOf))) continue;
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${first.path}" (targetModules)${this.#where} is part of "${first.partOf!}", which targetModules names as well, and a weight can have one adapter. Name the layer or its parts.`,
      );
    }
  }

  #checkSaved(names: readonly string[]): void {
    const whole = this.#modules.filter(({ partOf }) => partOf === undefined);
    const around = [...new Set(whole.flatMap(({ path }) => beginnings(path)))];
    const part = this.#modules.find(
      ({ path, partOf }) => partOf !== undefined && names.some((name) => path.endsWith(name)),
    );
    if (part && names.every((name) => !around.some((path) => path.endsWith(name)))) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${part.path}" (modulesToSave)${this.#where} is part of "${part.partOf!}", which can be trained in full only as a whole. Name "${part.partOf!}", or adapt the part (targetModules).`,
      );
    }
    this.#failOn(
      'modulesToSave',
      names.filter((name) => !around.some((path) => path.endsWith(name))),
    );
  }

  #checkLayers(layers: LayerRule): void {
    if (!layers.wanted) return;
    const { layersPattern } = this.#config;
    const patterns = typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? []);
    patterns.forEach((pattern, i) => {
      if (this.#adaptable.every(({ path }) => layers.numberBy(i, path) === undefined)) {
        this.#fail(`No module${this.#where} lies in a numbered list that matches the layersPattern ${quote(pattern)}.`);
      }
    });
    const found = new Set(this.#adaptable.map(({ path }) => layers.numberIn(path)).filter((n) => n !== undefined));
    const missing = [...layers.wanted].filter((layer) => !found.has(layer));
    if (missing.length > 0) {
      const numbers = [...found].sort((a, b) => a - b).join(', ');
      this.#fail(
        `layersToTransform names layer ${missing.join(', ')}, but the layers${this.#where} are ${numbers === '' ? 'not numbered' : numbers}.`,
      );
    }
  }

  /** Rejects a weight that is adapted by its module's name and by its own. */
  #checkParameters(targets: readonly string[]): void {
    const partOf = new Map(this.#modules.map((each) => [each.path, each.partOf]));
    const twice = (this.#config.targetParameters ?? []).find((name) =>
      targets.some((path) => name === `${path}.weight` || name === `${partOf.get(path)}.weight`),
    );
    if (twice === undefined) return;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${twice}" (targetParameters)${this.#where} is the weight of a module that targetModules adapts already. Name it in one of them.`,
    );
  }

  #checkTable(field: 'rankPattern' | 'alphaPattern', targets: readonly string[]): void {
    const idle = Object.keys(this.#config[field] ?? {}).filter((key) => {
      const pattern = compilePattern(key, field);
      return !targets.some((path) => pattern.endMatch(path));
    });
    if (idle.length === 0) return;
    const pattern = compilePattern(idle[0]!, field);
    const other = this.#modules.find(({ path }) => pattern.endMatch(path));
    if (!other) return this.#failOn(field, idle);
    this.#fail(
      `The ${field} ${quote(idle[0]!)} has no effect${this.#where}: it matches "${other.path}", and that module is not adapted.`,
    );
  }

  #failOn(field: string, unmatched: readonly string[]): void {
    const [first] = unmatched;
    if (first === undefined) return;
    const other = this.#modules.find(({ path }) => endings(path).includes(first));
    if (other) this.#fail(`"${first}" (${field})${this.#where} is of kind "${other.kind}", which LoRA cannot adapt.`);
    const more = unmatched.length > 1 ? `, nor ${unmatched.slice(1, 4).map(quote).join(', ')}` : '';
    // Compare with names of as many parts, so that "layer.0.querry" finds "layer.0.query".
    const parts = first.split('.').length;
    const candidates = this.#modules.flatMap(({ path }) => [path, path.split('.').slice(-parts).join('.')]);
    this.#fail(
      `No module${this.#where} matches ${quote(first)}${more} (${field}).${didYouMean(first, candidates)}`,
      field === 'modulesToSave' || field === 'excludeModules' ? this.#modules : this.#adaptable,
    );
  }

  #fail: (what: string, modules?: readonly Named[]) => never = (what, modules = this.#adaptable) => {
    const counts = new Map<string, number>();
    for (const { path } of modules) {
      const last = path.slice(path.lastIndexOf('.') + 1);
      counts.set(last, (counts.get(last) ?? 0) + 1);
    }
    const common = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const shown = common.slice(0, 12).map(([name, count]) => (count > 1 ? `${name} (${count})` : name));
    if (common.length > shown.length) shown.push(`and ${common.length - shown.length} more`);
    const list = shown.length > 0 ? `Modules: ${shown.join(', ')}.` : 'The model has no modules that were recognised.';
    const word = modules === this.#adaptable ? ', full paths, or "all-linear"' : ' or full paths';
    throw new OnnxLoraError('TARGET_NOT_FOUND', `${what} ${list} Pass names from this list${word}.`);
  };
}

/** The path and those of all enclosing modules. */
function beginnings(path: string): string[] {
  const parts = path.split('.');
  return parts.map((_, i) => parts.slice(0, i + 1).join('.'));
}
