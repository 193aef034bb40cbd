/** @file What is trained in full beside the low-rank adapters: modules that are saved, and biases. */

import { ParameterFinder } from '../../adapter/merging/findParameter.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import type { TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { isAttention } from './chosenModules.ts';
import { wholeModule } from '../loaded/reservedSlots.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';

/** What decides on the parameters. */
export interface TrainedRequest {
  readonly lowRank: readonly LowRankSite[];
  /** Paths of modules trained in full. */
  readonly modulesToSave: readonly string[];
  /** Which biases are trained, as PEFT's config says it. */
  readonly bias: AdapterConfig['bias'];
}

/** The parameters, those of saved modules first. */
export function trainedParameters(
  model: ModelGraph,
  { lowRank, modulesToSave, bias }: TrainedRequest,
): TrainedParameter[] {
  const finder = new ParameterFinder(model.onnx.model.graph, model.sites());
  const saved = modulesToSave.flatMap((path) => wholeModule(finder, path));
  if (bias === 'none') return saved;
  const names = new Map(lowRank.map(({ site, savedAs = site.path }) => [site.path, savedAs]));
  const known = new Set(saved.map(({ name }) => name));
  const biases = (
    bias === 'all' ? finder.biases() : lowRank.flatMap(({ site }) => finder.find(site.path, 'bias') ?? [])
  )
    // The bias of a MultiheadAttention's first product is called in_proj_bias, and PEFT leaves it alone.
    .filter(({ name, site }) => !known.has(name) && !(site && isAttention(site, model.sitesByPath())))
    .map((parameter): TrainedParameter => {
      // PEFT's wrapper stands between an adapted module and its bias.
      const wrapped = names.get(parameter.modulePath);
      return wrapped === undefined ? parameter : { ...parameter, savedAs: tensorName(wrapped, 'base_layer.bias') };
    });
  return [...saved, ...biases];
}
