/** @file Slots that a session reserves for later adapters. */

import { OnnxLoraError } from '../../errors.ts';
import { ParameterFinder } from '../../adapter/merging/findParameter.ts';
import { kindOf } from '../../lora/kinds/table.ts';
import { LowRank } from '../../lora/methods/lora.ts';
import type { AdapterPlan } from '../../lora/methods/moduleAdapter.ts';
import type { TrainedParameter } from '../../lora/methods/trainedParameter.ts';
import { WholeParameter } from '../../lora/methods/saved.ts';
import type { ModelGraph } from '../graph/modelGraph.ts';
import { selectNamed } from '../graph/selectNamed.ts';

/** Slots to reserve, in PEFT's terms. */
export interface ReservedModules {
  /**
   * Modules for later adapters to adapt: names (exact, or the end after a dot), a pattern for full paths, or
   * `all-linear`. By default only those of the given adapters. Unused slots cost nothing on the CPU.
   */
  readonly targetModules?: string | readonly string[];
  /** Modules that later adapters may replace, such as `classifier`. */
  readonly modulesToSave?: readonly string[];
  /** Lets later adapters use DoRA, at the cost of a product with the gains per slot. */
  readonly useDora?: boolean;
}

/**
 * The requested slots; undefined if none are.
 * @throws OnnxLoraError `TARGET_NOT_FOUND` for an entry that matches nothing, `CONFIG_INVALID` for a layer that cannot
 *   be adapted
 */
export function reservedSlots(
  model: ModelGraph,
  options: { readonly [Key in keyof ReservedModules]: ReservedModules[Key] | undefined },
): AdapterPlan | undefined {
  const { targetModules, modulesToSave, useDora = false } = options;
  if (targetModules === undefined && modulesToSave === undefined) return undefined;
  const finder = new ParameterFinder(model.onnx.model.graph, model.sites());
  const wanted = {
    // Any rank will do: adapters bring theirs.
    r: 1,
    loraAlpha: 1,
    targetModules: targetModules ?? [],
    ...(modulesToSave ? { modulesToSave } : {}),
  };
  const selected = selectNamed(model.namedModules(), wanted, model);
  return [
    ...selected.targets.map((path) => {
      const site = model.sitesByPath().get(path)!;
      const kind = kindOf(site);
      const refusal = kind.refuses(site, { r: kind.matrix(site).groups, dora: useDora, bias: false });
      if (refusal === undefined) return new LowRank({ site, dora: useDora });
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `No place can be reserved at "${path}": the layer ${refusal}. Name other targetModules.`,
      );
    }),
    ...selected.modulesToSave.flatMap((path) =>
      wholeModule(finder, path).map(
        (found) => new WholeParameter(model.openHeads.has(path) ? { ...found, isOpen: true } : found),
      ),
    ),
  ];
}

/** A module's weight and bias, if present. */
export function wholeModule(finder: ParameterFinder, path: string): TrainedParameter[] {
  return ['weight', 'bias'].flatMap((parameter) => finder.find(path, parameter) ?? []);
}
