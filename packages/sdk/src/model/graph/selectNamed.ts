/** @file Matches target rules in a model's naming, or in that of the other version of transformers. */

import { generationOfPaths } from '../../adapter/naming/generations.ts';
import { type Generation, type NameTable, otherGeneration, translatePath } from '../../adapter/naming/nameTable.ts';
import { type AdapterConfig, adapterConfig } from '../../adapter/formats/peftConfig.ts';
import { renameConfig } from '../../adapter/naming/renameConfig.ts';
import { OnnxLoraError } from '../../errors.ts';
import { type ModelFamily, OUTPUT_EMBEDDING, pathsOfRoles } from '../../plugin/families/family.ts';
import type { ModuleInfo } from './namedModules.ts';
import type { TargetConfig } from '../../lora/targetRules.ts';
import { type NamedModule, type SelectedModules, selectModules } from '../../lora/targets.ts';

/** The model as {@link selectNamed} sees it. */
export interface NamedModel {
  readonly name: string;
  readonly family?: Partial<Pick<ModelFamily, 'roles' | 'generations'>>;
  /** Its layers; without them and a family, the output embedding is unknown. */
  modules?(): readonly Pick<ModuleInfo, 'path' | 'kind' | 'weightShape'>[];
}

/** Fields that select modules, and defaults for patterns. */
export interface RankedTargets extends TargetConfig {
  readonly r: number;
  readonly loraAlpha: number;
}

/** Selected modules in the model's naming. */
export interface NamedSelection extends SelectedModules {
  readonly fields: Pick<AdapterConfig, 'modulesToSave' | 'rankPattern' | 'alphaPattern'>;
  readonly namedAs?: Generation;
}

/**
 * Selects the modules that a config names. If the model lacks them and its family knows both generations' names, tries
 * the whole config in the other generation.
 * @throws OnnxLoraError as {@link selectModules}, in the model's naming
 */
export function selectNamed(modules: readonly NamedModule[], config: RankedTargets, model: NamedModel): NamedSelection {
  const { name, family } = model;
  const tables = family?.generations ?? [];
  const outputEmbedding = outputEmbeddingOf(modules, model);
  try {
    return { ...selectModules(modules, config, { model: name, outputEmbedding }), fields: fieldsOf(config) };
  } catch (error) {
    if (!(error instanceof OnnxLoraError) || error.code !== 'TARGET_NOT_FOUND') throw error;
    for (const table of tables) {
      for (const generation of [4, 5] as const) {
        const found = selectAs(modules, config, { table, generation, outputEmbedding });
        if (found) return found;
      }
    }
    throw tables.length > 0 ? error : withHint(error, modules, config);
  }
}

/**
 * A language model's output layer. Without a family, the `lm_head` with as many outputs as an embedding has rows,
 * unlike CTC's.
 */
function outputEmbeddingOf(modules: readonly NamedModule[], model: NamedModel): string | undefined {
  const paths = modules.map(({ path }) => path);
  if (model.family) return pathsOfRoles({ roles: {}, ...model.family }, [OUTPUT_EMBEDDING], paths)[0];
  const layers = model.modules?.() ?? [];
  const head = layers.find(({ path, kind }) => path === 'lm_head' && kind === 'linear');
  const isTable = ({ kind, weightShape: [rows] }: (typeof layers)[number]): boolean =>
    kind === 'embedding' && rows === head?.weightShape[0];
  return layers.some(isTable) ? head?.path : undefined;
}

function fieldsOf({ modulesToSave, rankPattern, alphaPattern }: TargetConfig): NamedSelection['fields'] {
  return { modulesToSave: modulesToSave ?? null, rankPattern: rankPattern ?? {}, alphaPattern: alphaPattern ?? {} };
}

interface Translation {
  readonly table: NameTable;
  readonly generation: Generation;
  readonly outputEmbedding: string | undefined;
}

/** The selection with all modules in the naming of `generation`; undefined if that also fails. */
function selectAs(
  modules: readonly NamedModule[],
  config: RankedTargets,
  { table, generation, outputEmbedding }: Translation,
): NamedSelection | undefined {
  const from = (path: string): string => translatePath(path, table, generation) ?? path;
  const own = new Map(modules.map(({ path }) => [from(path), path]));
  const renamed = modules.map((each): NamedModule => {
    const { path, kind, partOf } = each;
    return { path: from(path), kind, ...(partOf === undefined ? {} : { partOf: from(partOf) }) };
  });
  if (own.size !== modules.length || renamed.every(({ path }, i) => path === modules[i]!.path)) return undefined;
  const { r, loraAlpha, targetModules } = config;
  const ownNames = new Map([...own].map(([name, path]) => [path, name]));
  // Full paths may still be the model's, such as its family's defaults.
  const wanted =
    typeof targetModules === 'string' ? targetModules : (targetModules ?? []).map((path) => ownNames.get(path) ?? path);
  const to = (path: string): string => own.get(path) ?? translatePath(path, table, otherGeneration(generation)) ?? path;
  try {
    const options = { outputEmbedding: outputEmbedding && from(outputEmbedding) };
    const { targets, modulesToSave } = selectModules(renamed, { ...config, targetModules: wanted }, options);
    const before = adapterConfig({ r, loraAlpha, targetModules: targets, ...fieldsOf(config) });
    const fields = fieldsOf(
      renameConfig(before, { adapted: targets, saved: modulesToSave, known: [...own.keys()], to }),
    );
    return { targets: targets.map(to), modulesToSave: modulesToSave.map(to), fields, namedAs: generation };
  } catch (error) {
    if (error instanceof OnnxLoraError) return undefined;
    throw error;
  }
}

/** Adds a hint: names can only be translated with a family. */
function withHint(
  error: OnnxLoraError,
  modules: readonly NamedModule[],
  { targetModules }: TargetConfig,
): OnnxLoraError {
  const names = typeof targetModules === 'string' ? [targetModules] : (targetModules ?? []);
  const [given, has] = [
    generationOfPaths(names.map((each) => `attention.${each}`)),
    generationOfPaths(modules.map(({ path }) => path)),
  ];
  if (given === undefined || has === undefined || given === has) return error;
  return new OnnxLoraError(
    error.code,
    `${error.message} The names that were given look like those of transformers ${given}, the model's like those of transformers ${has}; opened with its family (openModel(source, { families })), it understands both.`,
    { cause: error },
  );
}
