/** @file From a tuner and a layer of the graph to what is injected there. */

import { OnnxLoraError } from '../errors.ts';
import type { TunedSite } from '../lora/plan.ts';
import type { Tuner, TunerSettings } from '../lora/tuner.ts';
import type { Site } from '../match/sites.ts';
import type { AdapterConfig } from './peftConfig.ts';

/** A tuner with its settings. */
export interface ChosenTuner {
  /** What adapts the layers. */
  readonly tuner: Tuner;
  /** Its own keys of `adapter_config.json`, with PEFT's defaults where nothing was said. */
  readonly settings: TunerSettings;
}

/** The tuner's settings in an adapter's config, PEFT's defaults where it has none. */
export function tunerSettings({ defaults }: Tuner, { extra }: Pick<AdapterConfig, 'extra'>): TunerSettings {
  return Object.fromEntries(Object.entries(defaults).map(([key, value]) => [key, extra[key] ?? value]));
}

/**
 * What a tuner makes of a layer.
 *
 * @param module what PEFT calls it
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a layer that cannot be adapted so
 */
export function tunedSite(site: Site, module: string, { tuner, settings }: ChosenTuner): TunedSite {
  const [out = 0, width = 0] = site.weightShape;
  const layer = { path: module, in: width, out, bias: site.bias !== undefined };
  const refusal = refuses(site) ?? tuner.refuses?.(layer, settings);
  if (refusal !== undefined) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${site.path}" cannot be adapted by the tuner "${tuner.name}": the layer ${refusal}. Leave it out (excludeModules), or adapt it by LoRA.`,
    );
  }
  return {
    site,
    tuning: tuner.tune(layer, settings),
    peftType: tuner.peftType,
    form: `${tuner.peftType} ${JSON.stringify(settings)}`,
    ...(module === site.path ? {} : { savedAs: module }),
  };
}

/** Why no tuner can adapt a layer. */
function refuses({ kind, arrange, foldedScale, nodes, input, part }: Site): string | undefined {
  if (part !== undefined) return `is one with others in "${part.of}"`;
  if (kind !== 'linear') return `is a ${kind}, and tuners of plugins adapt linear layers alone`;
  if (arrange !== undefined) return 'has its features in another dimension than the last';
  if (foldedScale !== undefined) return 'has a normalisation in its weight';
  if (!nodes[0]!.input!.includes(input)) return 'rounds its input before it multiplies';
  return undefined;
}
