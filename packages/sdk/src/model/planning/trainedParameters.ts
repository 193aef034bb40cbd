/** @file Parameters trained in full besides low-rank adapters: saved modules and biases. */

import { ParameterFinder } from '../../adapter/merging/findParameter.ts';
import type { AdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { tensorName } from '../../adapter/formats/tensorNames.ts';
import type { LowRankSite } from '../../lora/methods/loraSite.ts';
import type { TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { isAttention } from './chosenModules.ts';
import { wholeModule } from '../loaded/reservedSlots.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';

/** Selection of the parameters. */
export interface TrainedRequest {
  readonly lowRank?: readonly LowRankSite[];
  readonly modulesToSave: readonly string[];
  readonly bias?: AdapterConfig['bias'];
}

/** The parameters, those of saved modules first. */
export function trainedParameters(
  model: ModelGraph,
  { lowRank = [], modulesToSave, bias = 'none' }: TrainedRequest,
): TrainedParameter[] {
  const finder = new ParameterFinder(model.onnx.model.graph, model.sites());
  const saved = modulesToSave.flatMap((path) => wholeModule(finder, path));
  if (bias === 'none') return saved;
  const names = new Map(lowRank.map(({ site, savedAs = site.path }) => [site.path, savedAs]));
  const known = new Set(saved.map(({ name }) => name));
  const biases = (
    bias === 'all' ? finder.biases() : lowRank.flatMap(({ site }) => finder.find(site.path, 'bias') ?? [])
  )
    // PEFT ignores the in_proj_bias of a MultiheadAttention.
    .filter(({ name, site }) => !known.has(name) && !(site && isAttention(site, model.sitesByPath())))
    .map((parameter): TrainedParameter => {
      // PEFT's wrapper adds `base_layer` to the path of an adapted module's bias.
      const wrapped = names.get(parameter.modulePath);
      return wrapped === undefined ? parameter : { ...parameter, savedAs: tensorName(wrapped, 'base_layer.bias') };
    });
  return [...saved, ...biases];
}
