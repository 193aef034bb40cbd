/** @file Feeds of an injected graph: for an adapter, a weighted blend, and the base. */

import type { AdapterInput } from '../../lora/methods/moduleAdapter.ts';
import type { Provider } from '../../runtime/session.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { PlacedAdapter } from '../naming/place.ts';
import { type FullyTrained, requireOneOwner } from '../combine/fullyTrained.ts';
import { keptParameter } from '../combine/sources.ts';

/** Tensors by input name. */
export type AdapterFeeds = ReadonlyMap<string, Tensor>;

/**
 * Rank of the zeros that leave a module unchanged. Rank 0 is free, but a product over no columns crashes ONNX Runtime's
 * WebGPU provider; other GPU providers get a zero column too.
 */
export function zeroRank(provider: Provider): 0 | 1 {
  return provider === 'cpu' ? 0 : 1;
}

/** The feeds of an adapter: one per input that it changes. A generator, since DoRA's gains take time. */
export function* adapterFeeds(
  { tunings }: Pick<PlacedAdapter, 'tunings'>,
  inputs: readonly AdapterInput[],
): Generator<[string, Tensor]> {
  const own = new Map(tunings.map((each) => [each.tuning.slot, each]));
  const prepared = new Map<string, ReadonlyMap<string, Tensor>>();
  for (const { name, tuning, others, tensor } of inputs) {
    const placed = [tuning, ...others].map(({ slot }) => own.get(slot)).find((each) => each !== undefined);
    if (!placed) continue;
    const { slot } = placed.tuning;
    if (!prepared.has(slot)) prepared.set(slot, placed.tuning.feeds(placed.saved));
    const fed = prepared.get(slot)!.get(tensor.role);
    if (fed) yield [name, fed];
  }
}

/** The feeds of the base: A and B of rank `idle`, gain 1, the base's parameters, a tuner's idle values. */
export function baseFeeds(inputs: readonly AdapterInput[], idle: 0 | 1): AdapterFeeds {
  return new Map(inputs.map(({ name, tensor }) => [name, tensor.idle(idle)]));
}

/** An adapter in a blend. */
export interface BlendPart {
  readonly feeds: AdapterFeeds;
  readonly weight: number;
  readonly name: string;
}

/**
 * The feeds for W + Σ wᵢ·(Wᵢ − W), which is W + Σ wᵢ·sᵢ·Bᵢ·Aᵢ for LoRA: ranks are concatenated, wᵢ goes into Bᵢ. DoRA's
 * gains, biases and fully trained parameters change by the weighted sum. New ones of a single adapter, and those that
 * adapters agree on, are taken unweighted.
 * @param base the base's feeds, one per input
 * @throws OnnxLoraError `INPUT_INVALID` for heads of other sizes or different values, and for tuners other than LoRA
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

/** Feeds that are taken unweighted, by input name. */
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
