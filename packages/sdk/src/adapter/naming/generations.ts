/** @file Adapters across the names of transformers 4 and 5: loaded on a graph of either, saved under either. */

import { OnnxLoraError } from '../../errors.ts';
import { Adapter } from '../adapter.ts';
import { type Generation, type NameTable, otherGeneration, siblingPaths, translatePath } from './nameTable.ts';
import { requireLora } from '../formats/peftVariants.ts';
import { renameConfig } from './renameConfig.ts';
import { parseTensorName, tensorName, type TensorRole } from '../formats/tensorNames.ts';

/** What must be known of a base model to name its modules; a `Model` is one. */
export interface NamedBase {
  /** The family, whose table says how modules are called. */
  readonly family?: { readonly name: string; readonly generations?: readonly NameTable[] };
  /** config.json: its `architectures` decide where classes of one family differ. */
  readonly config?: Readonly<Record<string, unknown>>;
}

const generations: readonly Generation[] = [4, 5];

/**
 * The tables of names that may hold for a base. Where config.json names a class that one of them is for, those for other
 * classes are left out: CLIP's two towers have the same names once their prefixes are gone.
 */
export function tablesOf({ family, config }: NamedBase): readonly NameTable[] {
  const tables = family?.generations ?? [];
  const architecture = classIn(config);
  if (architecture === undefined) return tables;
  const isFor = ({ architectures }: NameTable): boolean => architectures?.includes(architecture) ?? true;
  return tables.some((table) => table.architectures && isFor(table)) ? tables.filter(isFor) : tables;
}

/**
 * Gives an adapter the names that a graph uses, where it was trained under those of the other version of transformers.
 * Only names that a table knows are translated; an adapter that fits as well without is returned as it is.
 *
 * @param modulePaths paths of the graph's modules
 * @param tables the family's tables of both names, {@link tablesOf}
 * @throws OnnxLoraError `ADAPTER_MISMATCH` where the names of a module cannot be translated: it was split between the
 *   versions, or no table is known and the names look like the other version's
 */
export function adaptNames(adapter: Adapter, modulePaths: readonly string[], tables: readonly NameTable[]): Adapter {
  const graph = new Set(modulePaths);
  const modules = modulesOf(adapter);
  // PEFT's own wrappers are no part of the model's paths.
  const found = (to: (path: string) => string | undefined): number =>
    modules.filter((path) => graph.has((to(path) ?? '').replaceAll('.base_layer', ''))).length;
  const own = found((path) => path);
  if (own === modules.length) return adapter;
  const ways = tables
    .flatMap((table) =>
      generations.map((to) => ({ table, to, count: found((path) => translatePath(path, table, to)) })),
    )
    .sort((a, b) => b.count - a.count);
  const [best] = ways;
  if (best && best.count > own) {
    const known = modulePaths.map((path) => translatePath(path, best.table, otherGeneration(best.to)) ?? path);
    return renameAdapter(adapter, best.table, best.to, known);
  }
  if (own === 0) refuseOtherGeneration(modules, modulePaths, tables);
  return adapter;
}

/**
 * The adapter under the names that transformers 4 or 5 gives to the base's modules, for PEFT with that version: tensors
 * and config. An adapter that has these names already comes back as it is, and so does one of a family whose names
 * are the same in both.
 *
 * @example
 * await withNames(adapter, 5, model).save('photos-adapter-v5');
 *
 * @throws OnnxLoraError `CONFIG_INVALID` without a family, or where the class of the model decides and is not known;
 *   `ADAPTER_MISMATCH` for a module that was split between the versions
 */
export function withNames(adapter: Adapter, generation: Generation, { family, config }: NamedBase): Adapter {
  if (!family) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `How transformers ${generation} calls the adapter's modules is known by the model's family, and no family is given. Open the model with the families of its domain's package, or pass one.`,
    );
  }
  const modules = modulesOf(adapter);
  const changes = ({ pairs }: NameTable, path: string): boolean => translatePath(path, { pairs }, generation) !== path;
  // A prefix that a class has is around all of its modules: one outside tells that the class is another.
  const fitting = (family.generations ?? []).filter((table) =>
    table.architectures ? modules.every((path) => changes(table, path)) : modules.some((path) => changes(table, path)),
  );
  const architecture = architectureOf(adapter, config);
  const table = fitting.find(({ architectures }) =>
    architectures ? architecture !== undefined && architectures.includes(architecture) : true,
  );
  if (table) return renameAdapter(adapter, table, generation, []);
  if (fitting.length > 0 && architecture === undefined) {
    const classes = fitting.flatMap(({ architectures = [] }) => architectures).join(', ');
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `Whether transformers ${generation} calls "${modules[0]}" otherwise depends on the class of the model: ${classes} do, other classes of the family "${family.name}" do not. Give the model, with "architectures" in its config.json.`,
    );
  }
  return adapter;
}

/**
 * The version of transformers that wrote a `config.json`, by its `transformers_version`: 4 stands for older ones too.
 *
 * @returns undefined where the file does not say
 */
export function writtenBy(config: NamedBase['config']): Generation | undefined {
  const version = config?.['transformers_version'];
  const major = typeof version === 'string' ? /^(\d+)\./.exec(version)?.[1] : undefined;
  if (major === undefined) return undefined;
  return Number(major) < 5 ? 4 : 5;
}

/**
 * A warning for modules that transformers 4 and 5 call differently, where `config.json` does not name the version whose names
 * they have: PEFT with the other version loads an adapter of them with little of its effect and no error.
 *
 * @param paths paths of the adapted modules
 * @returns undefined where there is nothing to warn of
 */
export function namesWarning(
  paths: readonly string[],
  { name, family, config }: NamedBase & { readonly name: string },
): string | undefined {
  const architecture = classIn(config) ?? '';
  const tables = (family?.generations ?? []).filter(
    ({ architectures }) => architectures?.includes(architecture) ?? true,
  );
  const found = generations.find((each) =>
    paths.some((path) => tables.some((table) => translatePath(path, table, otherGeneration(each)) !== path)),
  );
  const written = writtenBy(config);
  if (found === undefined || found === written) return undefined;
  const other = otherGeneration(found);
  return `The adapter's modules have the names of transformers ${found}, and the config.json of "${name}" ${written === undefined ? 'does not say which version wrote it (transformers_version)' : `was written by transformers ${written}`}. PEFT with transformers ${other} loads such an adapter without an error and with little of its effect. For that version save it under the other names: --names ${other} of onnx-lora convert, or withNames.`;
}

/** The adapter with every module's name translated. `known` are paths that exist, under the names that it has now. */
function renameAdapter(adapter: Adapter, table: NameTable, to: Generation, known: readonly string[]): Adapter {
  // Settings of other tuners may hold names too, which only the tuner could tell.
  requireLora(adapter.config, 'given the names of another version of transformers');
  const translate = (path: string): string => {
    const translated = translatePath(path, table, to);
    if (translated !== undefined) return translated;
    throw new OnnxLoraError(
      'ADAPTER_MISMATCH',
      `The adapter's module "${path}" has no counterpart in transformers ${to}, which holds its weight in other pieces. Export the base model with transformers ${otherGeneration(to)}, and use the adapter there.`,
    );
  };
  const tensors = new Map(
    [...adapter.tensors].map(([name, tensor]) => {
      const { module, role, parameter } = parseTensorName(name);
      const path = translate(module);
      return [path === module ? name : tensorName(path, role, parameter), tensor];
    }),
  );
  if (tensors.size !== adapter.tensors.size) {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      'The adapter holds a module twice, under the names of transformers 4 and of transformers 5. Save it again with one of them.',
    );
  }
  const modules = modulesOf(adapter);
  const config = renameConfig(adapter.config, {
    // What lies in a wrapper of PEFT's own belongs to the target around it.
    adapted: modulesOf(adapter, ['lora_A', 'lora_embedding_A']).filter(
      (path) => !path.split('.').includes('base_layer'),
    ),
    saved: modulesOf(adapter, ['parameter']),
    known: [...(known.length > 0 ? known : modules.flatMap((path) => siblingPaths(path, table, to))), ...modules],
    to: (path) => translatePath(path, table, to) ?? path,
  });
  return new Adapter(config, tensors, adapter.baseDigest, adapter.notes);
}

/** Paths of the modules that the adapter has tensors of, with these roles or any. */
export function modulesOf(adapter: Adapter, roles?: readonly TensorRole[]): string[] {
  const names = [...adapter.tensors.keys()].map(parseTensorName);
  const paths = names.filter(({ role }) => roles?.includes(role) ?? true).map(({ module }) => module);
  return [...new Set(paths)].filter((path) => path !== '');
}

/** The class of the base model: what PEFT has noted in the adapter, or what config.json says. */
function architectureOf(adapter: Adapter, config: NamedBase['config']): string | undefined {
  const noted = adapter.config.extra['auto_mapping'] as { readonly base_model_class?: unknown } | null | undefined;
  const found = noted?.base_model_class;
  return typeof found === 'string' ? found : classIn(config);
}

function classIn(config: NamedBase['config']): string | undefined {
  const architectures = config?.['architectures'];
  const found: unknown = Array.isArray(architectures) ? architectures[0] : undefined;
  return typeof found === 'string' ? found : undefined;
}

/**
 * Marks by which names that transformers 5 changed are told, whatever the family: for errors only, since the same old
 * name became different new ones.
 */
const marks: Readonly<Record<Generation, RegExp>> = {
  4: /\.(?:query|key|value)$|(?:^|\.)(?:output|intermediate)\.dense$/,
  5: /(?:^|\.)attention\.[qkvo]_proj$|(?:^|\.)layers\.\d+\.mlp\.fc[12]$/,
};
/** What towers that are models of their own had before each path, and lost. */
const TOWER = /^(?:vision|text)_model\./;

/** The generation whose names these paths look like; undefined where they show neither, or both. */
export function looksLike(paths: readonly string[]): Generation | undefined {
  const [old, recent] = generations.map((generation) => paths.some((path) => marks[generation].test(path)));
  return old === recent ? undefined : old ? 4 : 5;
}

/** The generations of an adapter's and a graph's names where they differ. */
function differentGenerations(
  modules: readonly string[],
  modulePaths: readonly string[],
): { readonly trained: Generation; readonly graph: Generation } | undefined {
  const lost = (longer: readonly string[], shorter: readonly string[]): boolean =>
    longer.some((path) => TOWER.test(path) && shorter.includes(path.replace(TOWER, '')));
  if (lost(modules, modulePaths)) return { trained: 4, graph: 5 };
  if (lost(modulePaths, modules)) return { trained: 5, graph: 4 };
  const [trained, graph] = [looksLike(modules), looksLike(modulePaths)];
  return trained && graph && trained !== graph ? { trained, graph } : undefined;
}

function refuseOtherGeneration(
  modules: readonly string[],
  modulePaths: readonly string[],
  tables: readonly NameTable[],
): void {
  const found = tables.length === 0 ? differentGenerations(modules, modulePaths) : undefined;
  if (!found) return;
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `None of the adapter's modules is in the model: "${modules[0]}" looks like a name of transformers ${found.trained}, while the model's names look like those of transformers ${found.graph}. Open the model with its family, which knows both: openModel(source, { families }) with the families of its domain's package.`,
  );
}
