/** @file What an injected graph is fed for several adapters at once, each with a weight. */

import type { AdapterInput } from '../../lora/methods/tuning.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import { type FullyTrained, requireOneOwner } from '../combine/kept.ts';
import { keptParameter } from '../combine/sources.ts';
import type { AdapterFeeds } from './feeds.ts';

/** An adapter's part of a blend. */
export interface BlendPart {
  /** What the adapter changes; inputs that it leaves alone are absent. */
  readonly feeds: AdapterFeeds;
  readonly weight: number;
  /** What the session calls the adapter. */
  readonly name: string;
}

/**
 * The feeds that make W + Σ wᵢ·(Wᵢ − W), where Wᵢ is the weight under the i-th adapter: W + Σ wᵢ·sᵢ·Bᵢ·Aᵢ for LoRA. The
 * ranks add up: A is all Aᵢ side by side, B all wᵢ·Bᵢ one below the other. What DoRA multiplies by, biases and parameters
 * trained in full are moved from the base's by the weighted sum of their changes; those that one of the adapters alone brings
 * and the base does not have, and those in which several agree, are taken as they are.
 *
 * @param base the base's feeds, one per input
 * @throws OnnxLoraError `INPUT_INVALID` for heads of other sizes than the base's, for adapters that have trained the same head
 *   to different values, and for adapters of other tuners than LoRA
 */
export function blendFeeds(
  parts: readonly BlendPart[],
  inputs: readonly AdapterInput[],
  base: AdapterFeeds,
): AdapterFeeds {
  const blended = new Map<string, Tensor>();
  const whole = requireHeads(parts, inputs);
  for (const input of inputs) {
    const own = parts.flatMap(({ feeds, weight }) => {
      const tensor = feeds.get(input.name);
      return tensor ? [{ tensor, weight }] : [];
    });
    const [first] = own;
    if (!first) continue;
    const isPlain = own.length === 1 && first.weight === 1;
    const tensor = isPlain ? first.tensor : input.tensor.blend(own, base.get(input.name)!);
    blended.set(input.name, whole.get(input.name) ?? tensor);
  }
  return blended;
}

/** What is taken as it is, by the names of inputs. */
function requireHeads(parts: readonly BlendPart[], inputs: readonly AdapterInput[]): Map<string, Tensor> {
  const trained = inputs.flatMap(({ name, tuning: { parameter } }) => (parameter ? [{ name, parameter }] : []));
  const sources = parts.map(({ feeds, weight, name: called }): FullyTrained => {
    const parameters = trained.flatMap(({ name, parameter }) => {
      const tensor = feeds.get(name);
      return tensor ? [[name, keptParameter(parameter, tensor)] as const] : [];
    });
    return { name: `adapter "${called}"`, weight, modules: new Set(), parameters: new Map(parameters) };
  });
  const isNew = new Set(trained.flatMap(({ parameter }) => (parameter.isNew ? [parameter.modulePath] : [])));
  const owners = requireOneOwner(sources, ({ module }) => isNew.has(module));
  return new Map([...owners].flatMap(([name, { kept, count }]) => (count > 1 || isNew.has(kept.module) ? [[name, kept.tensor]] : []))); // prettier-ignore
}
