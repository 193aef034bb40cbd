/** @file Translates adapters between the module naming of transformers 4 and 5. */

import { OnnxLoraError } from '../../errors.ts';
import { Adapter } from '../adapter.ts';
import { type Generation, type NameTable, otherGeneration, siblingPaths, translatePath } from './nameTable.ts';
import { requireLora } from '../formats/peftVariants.ts';
import { renameConfig } from './renameConfig.ts';
import { parseTensorName, tensorName, type TensorRole } from '../formats/tensorNames.ts';

/** Naming facts of a base model, such as a `Model`. */
export interface NamedBase {
  /** The family with its naming tables. */
  readonly family?: { readonly name: string; readonly generations?: readonly NameTable[] };
  /** config.json: `architectures` decide if classes of a family differ. */
  readonly config?: Readonly<Record<string, unknown>>;
}

const generations: readonly Generation[] = [4, 5];

/** The naming tables for a base: if config.json names a class of a table, only those for that class, or for all. */
export function tablesOf({ family, config }: NamedBase): readonly NameTable[] {
  const tables = family?.generations ?? [];
  const architecture = classIn(config);
  if (architecture === undefined) return tables;
  const isFor = ({ architectures }: NameTable): boolean => architectures?.includes(architecture) ?? true;
  return tables.some((table) => table.architectures && isFor(table)) ? tables.filter(isFor) : tables;
}

/**
 * Translates an adapter to a graph's naming if that fits better. Only names in a table are translated.
 * @param modulePaths the graph's
 * @param tables the family's naming tables, {@link tablesOf}
 * @throws OnnxLoraError `ADAPTER_MISMATCH` for a module split between versions, or without a table if the names look
 *   like the other version's
 */
export function adaptNames(adapter: Adapter, modulePaths: readonly string[], tables: readonly NameTable[]): Adapter {
  const graph = new Set(modulePaths);
  const modules = modulesOf(adapter);
  // Without PEFT's wrappers.
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
 * Translates an adapter's tensors and config to the naming of transformers 4 or 5, for PEFT with that version. Returns
 * the adapter itself if nothing changes.
 * @example
 * await inNaming(adapter, 5, model).save('photos-adapter-v5');
 * @throws OnnxLoraError `CONFIG_INVALID` without a family, or if an unknown model class decides; `ADAPTER_MISMATCH` for
 *   a module split between versions
 */
export function inNaming(adapter: Adapter, generation: Generation, { family, config }: NamedBase): Adapter {
  if (!family) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `How transformers ${generation} calls the adapter's modules is known by the model's family, and no family is given. Open the model with the families of its domain's package, or pass one.`,
    );
  }
  const modules = modulesOf(adapter);
  const changes = ({ pairs }: NameTable, path: string): boolean => translatePath(path, { pairs }, generation) !== path;
  // A class's prefix encloses all of its modules; one outside means another class.
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

/** The transformers version (4 includes older ones) that wrote a `config.json`, from its `transformers_version`. */
export function transformersGeneration(config: NamedBase['config']): Generation | undefined {
  const version = config?.['transformers_version'];
  const major = typeof version === 'string' ? /^(\d+)\./.exec(version)?.[1] : undefined;
  if (major === undefined) return undefined;
  return Number(major) < 5 ? 4 : 5;
}

/** Warns if `config.json` does not tell the version of the naming: PEFT with the other silently ignores most tensors. */
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
  const written = transformersGeneration(config);
  if (found === undefined || found === written) return undefined;
  const other = otherGeneration(found);
  return `The adapter's modules have the names of transformers ${found}, and the config.json of "${name}" ${written === undefined ? 'does not say which version wrote it (transformers_version)' : `was written by transformers ${written}`}. PEFT with transformers ${other} loads such an adapter without an error and with little of its effect. For that version save it under the other names: --names ${other} of onnx-lora convert, or inNaming.`;
}

/** Translates every module name. `known` are existing paths in the present naming. */
function renameAdapter(adapter: Adapter, table: NameTable, to: Generation, known: readonly string[]): Adapter {
  // Other tuners' settings may hold names that only they know.
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
    // Wrapped modules belong to the target around them.
    adapted: modulesOf(adapter, ['lora_A', 'lora_embedding_A']).filter(
      (path) => !path.split('.').includes('base_layer'),
    ),
    saved: modulesOf(adapter, ['parameter']),
    known: [...(known.length > 0 ? known : modules.flatMap((path) => siblingPaths(path, table, to))), ...modules],
    to: (path) => translatePath(path, table, to) ?? path,
  });
  return new Adapter(config, tensors, adapter.baseDigest, adapter.notes);
}

/** Paths of the adapter's modules with tensors of these roles, or of any. */
export function modulesOf(adapter: Adapter, roles?: readonly TensorRole[]): string[] {
  const names = [...adapter.tensors.keys()].map(parseTensorName);
  const paths = names.filter(({ role }) => roles?.includes(role) ?? true).map(({ module }) => module);
  return [...new Set(paths)].filter((path) => path !== '');
}

/** The class of the base model: from PEFT's note in the adapter, or config.json. */
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

/** Names that transformers 5 changed in any family. For errors only, since an old name may have several new ones. */
const marks: Readonly<Record<Generation, RegExp>> = {
  4: /\.(?:query|key|value)$|(?:^|\.)(?:output|intermediate)\.dense$/,
  5: /(?:^|\.)attention\.[qkvo]_proj$|(?:^|\.)layers\.\d+\.mlp\.fc[12]$/,
};
/** Prefixes of towers in transformers 4 that 5 dropped. */
const TOWER = /^(?:vision|text)_model\./;

/** The naming generation of these paths; undefined if neither or both fit. */
export function generationOfPaths(paths: readonly string[]): Generation | undefined {
  const [old, recent] = generations.map((generation) => paths.some((path) => marks[generation].test(path)));
  return old === recent ? undefined : old ? 4 : 5;
}

function differentGenerations(
  modules: readonly string[],
  modulePaths: readonly string[],
): { readonly trained: Generation; readonly graph: Generation } | undefined {
  const lost = (longer: readonly string[], shorter: readonly string[]): boolean =>
    longer.some((path) => TOWER.test(path) && shorter.includes(path.replace(TOWER, '')));
  if (lost(modules, modulePaths)) return { trained: 4, graph: 5 };
  if (lost(modulePaths, modules)) return { trained: 5, graph: 4 };
  const [trained, graph] = [generationOfPaths(modules), generationOfPaths(modulePaths)];
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
