/** @file The config of a combined adapter, in PEFT's format. */

import { OnnxLoraError } from '../../errors.ts';
import type { Adapter } from '../adapter.ts';
import { type AdapterConfig, adapterConfig } from '../formats/peftConfig.ts';
import { patternTable } from '../formats/scaling.ts';
import { capitalised, type Source } from './sources.ts';

/** PEFT's keys about the base, kept if all adapters agree. */
const baseKeys = ['auto_mapping', 'layer_replication', 'megatron_config', 'megatron_core', 'revision'];

export interface ConfigRequest {
  readonly sources: readonly Source[];
  readonly ranks: ReadonlyMap<string, number>;
  readonly loraBias: boolean;
  /** Effect of PEFT's copy of the first config on scalings; undefined without compat. */
  readonly rsloraRank: number | undefined;
}

/** The config: targets by full paths, scaling 1 unless PEFT's is wanted. */
export function combinedConfig({ sources, ranks, loraBias, rsloraRank }: ConfigRequest): AdapterConfig {
  // With rsLoRA the scaling is alpha / √r; PEFT leaves it at √rsloraRank.
  const alphaOf = (r: number): number => (rsloraRank === undefined ? r : Math.sqrt(rsloraRank * r));
  const [r = 1] = ranks.values();
  const uniform = [...ranks.values()].every((each) => each === r);
  const configs = sources.map(({ config }) => config);
  const saved = [...new Set(configs.flatMap(({ modulesToSave }) => modulesToSave ?? []))];
  return adapterConfig({
    r,
    loraAlpha: alphaOf(r),
    // PEFT adapts the projection inside a MultiheadAttention with its parent.
    targetModules: [...ranks.keys()].filter((path) => !path.includes('.base_layer.')),
    rankPattern: uniform ? {} : patternTable(ranks),
    alphaPattern: uniform ? {} : patternTable(new Map([...ranks].map(([path, rank]) => [path, alphaOf(rank)]))),
    useRslora: rsloraRank !== undefined,
    modulesToSave: saved.length > 0 ? saved : null,
    bias: configs.find(({ bias }) => bias !== 'none')?.bias ?? 'none',
    loraBias,
    fanInFanOut: configs.some(({ fanInFanOut }) => fanInFanOut),
    taskType: agreed(configs.map(({ taskType }) => taskType)) ?? null,
    baseModelNameOrPath: agreed(configs.map(({ baseModelNameOrPath }) => baseModelNameOrPath)) ?? null,
    extra: commonExtra(sources),
  });
}

/** The common value, ignoring missing ones; undefined if they differ. */
function agreed<T>(values: readonly (T | null | undefined)[]): T | undefined {
  const said = [...new Set(values.filter((value) => value !== null && value !== undefined))];
  return said.length === 1 ? said[0] : undefined;
}

function commonExtra(sources: readonly Source[]): Record<string, unknown> {
  const extra = new Map<string, unknown>();
  const [first] = sources as [Source, ...Source[]];
  for (const key of baseKeys) {
    const values = sources.map(({ config }) => (Object.hasOwn(config.extra, key) ? config.extra[key] : null) ?? null);
    const odd = values.findIndex((value) => JSON.stringify(value) !== JSON.stringify(values[0]));
    if (odd === -1) {
      if (values[0] !== null) extra.set(key, values[0]);
    } else if (key === 'layer_replication') {
      throw new OnnxLoraError(
        'ADAPTER_MISMATCH',
        `${capitalised(first.name)} and ${sources[odd]!.name} replicate the base's layers in different ways (layer_replication). Combine adapters of one base model.`,
      );
    }
  }
  return Object.fromEntries(extra);
}

/** @throws OnnxLoraError `ADAPTER_MISMATCH` if the known digests of the base differ */
export function commonDigest(
  parts: readonly { readonly adapter: Adapter }[],
  sources: readonly Source[],
): string | undefined {
  const known = parts.flatMap(({ adapter: { baseDigest } }, i) =>
    baseDigest === undefined ? [] : [{ baseDigest, i }],
  );
  const other = known.find(({ baseDigest }) => baseDigest !== known[0]!.baseDigest);
  if (!other) return known[0]?.baseDigest;
  const [a, b] = [sources[known[0]!.i]!.name, sources[other.i]!.name];
  throw new OnnxLoraError(
    'ADAPTER_MISMATCH',
    `${capitalised(a)} and ${b} were trained on different base weights (sha256 ${known[0]!.baseDigest.slice(0, 12)}… and ${other.baseDigest.slice(0, 12)}…), so their changes do not add up to anything. Combine adapters of one base model.`,
  );
}
