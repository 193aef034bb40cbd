/** @file Module selection beyond PEFT's rules: functions, families' defaults, whole MultiheadAttentions. */

import { OnnxLoraError } from '../../errors.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import type { Site } from '../../match/sites.ts';
import { defaultTargetPaths } from '../../plugin/families/family.ts';
import type { LoraOptions } from './loraOptions.ts';
import type { Model } from '../loaded/model.ts';
import type { ModuleInfo } from '../graph/namedModules.ts';

const OUT_PROJ = '.out_proj';

/**
 * `targetModules` in PEFT's form: a function's choice as full paths; by default the family's targets, or none if
 * parameters are named.
 * @throws OnnxLoraError `TARGET_NOT_FOUND`, `CONFIG_INVALID`
 */
export function targetNames(model: Model, options: LoraOptions): string | readonly string[] {
  const { targetModules: given, targetParameters = [] } = options;
  if (typeof given === 'function') return accepted(model, given, options);
  if (given !== undefined) return given;
  const paths = model.modules().map(({ path }) => path);
  const found = new Set(model.family ? defaultTargetPaths(model.family, paths) : []);
  const usual = wholeOrParts(model.modules().filter(({ path }) => found.has(path)));
  if (usual.length > 0 || targetParameters.length > 0) return usual;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `${model.family ? `The modules that are usually adapted in ${model.family.name} are not in` : 'No family knows the layers of'} "${model.name}", so the modules to adapt must be named: targetModules (--targets) "all-linear", or names such as ${paths
      .slice(0, 3)
      .map((path) => `"${path}"`)
      .join(', ')}.`,
  );
}

function accepted(
  model: Model,
  accepts: (module: ModuleInfo) => boolean,
  { layersToTransform }: LoraOptions,
): string[] {
  if (layersToTransform !== undefined) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      'layersToTransform limits a list of names, but targetModules is a function. Let the function look at the path.',
    );
  }
  const adaptable = model.modules().filter(({ path }) => isModule(model.sitesByPath().get(path)!));
  const paths = wholeOrParts(adaptable.filter((module) => accepts(module)));
  if (paths.length > 0) return paths;
  const [first] = adaptable;
  throw new OnnxLoraError(
    'TARGET_NOT_FOUND',
    `None of the ${adaptable.length} modules of "${model.name}" is accepted by targetModules.${first ? ` The first one is ${JSON.stringify(first)}.` : ''} model.modules() (onnx-lora inspect --json) lists them all.`,
  );
}

/** The paths, without parts of layers that are included whole. */
function wholeOrParts(modules: readonly ModuleInfo[]): string[] {
  const whole = new Set(modules.map(({ path }) => path));
  return modules.flatMap(({ path, partOf }) => (partOf !== undefined && whole.has(partOf) ? [] : [path]));
}

/** True if PEFT can adapt the site as a module; bare parameters need `targetParameters`. */
function isModule(site: Site): boolean {
  const adapter = { r: kindOf(site).matrix(site).groups, dora: false, bias: false };
  return site.kind !== 'parameter' && kindOf(site).refuses(site, adapter) === undefined;
}

/** True for the input projection of torch's MultiheadAttention, which contains an `out_proj`. */
export function isAttention({ path, kind }: Site, sites: ReadonlyMap<string, Site>): boolean {
  return kind === 'linear' && sites.has(`${path}${OUT_PROJ}`);
}

/**
 * Expands each MultiheadAttention, one module to PEFT, to both of its products, with PEFT's file names of the second.
 * @throws OnnxLoraError `CONFIG_INVALID` for the second alone, whose adapter PEFT would not apply
 */
export function withAttentions(
  targets: readonly string[],
  sites: ReadonlyMap<string, Site>,
): readonly { readonly path: string; readonly savedAs?: string }[] {
  const chosen = new Set(targets);
  return targets.flatMap((path) => {
    const around = path.endsWith(OUT_PROJ) ? path.slice(0, -OUT_PROJ.length) : undefined;
    if (around !== undefined && sites.get(around)?.kind === 'linear') {
      if (chosen.has(around)) return [];
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${path}" is part of the MultiheadAttention "${around}", and PEFT adapts such a module as a whole. Name "${around}" in its place.`,
      );
    }
    if (!isAttention(sites.get(path)!, sites)) return [{ path }];
    return [{ path }, { path: `${path}${OUT_PROJ}`, savedAs: `${path}.base_layer${OUT_PROJ}` }];
  });
}
