/** @file Trainers for the adapters of cases. */

import { Adapter, type Runtime, float32, type Tensor, type BasePrecision } from '@onnx-lora/sdk';
import {
  type DrawMask,
  type PlacedAdapter,
  LORA,
  parseTensorName,
  type AdapterPlan,
  ParameterSet,
  type MeasuredPrecision,
  isProductPrecision,
  measurePrecision,
  Trainer,
  type TrainerRequest,
} from '@onnx-lora/sdk/core';
import type { ConformanceCase } from './case.ts';
import { caseLoss } from './loss.ts';
import { caseAdapter } from './outputs.ts';

/** An adapter with its places in the graph. */
export interface Placed {
  readonly placed: PlacedAdapter;
  readonly plan: AdapterPlan;
}

/** Finds an adapter's places in a case's model. `drops` enables its dropout, `hooks` the tuner's hooks around steps. */
export async function placeFor(
  { model }: ConformanceCase,
  adapter: Adapter,
  { drops = false, hooks = false }: { readonly drops?: boolean; readonly hooks?: boolean } = {},
): Promise<Placed> {
  const placed = await model.place(adapter, { toTrain: true });
  return {
    placed,
    // Expected values are of a model in evaluation mode, unless masks are given.
    plan: placed.tunings.map(({ tuning }) => {
      // PEFT leaves the hooks of LoRA variants to its callers, and cases do without.
      const isPlain = tuning.lowRank ? !drops : !hooks || adapter.config.peftType === LORA;
      return isPlain ? (tuning.withoutTraining?.() ?? tuning) : tuning;
    }),
  };
}

/** The case's adapter with trained biases that some versions of PEFT do not save; they start from the base's. */
export async function trainableAdapter(subject: ConformanceCase): Promise<Adapter> {
  const adapter = await caseAdapter(subject);
  const missing = subject.trainable.filter((name) => !adapter.tensors.has(name));
  const biases = missing.flatMap((name): [string, Tensor][] => {
    const { module, role } = parseTensorName(name);
    const bias =
      role === 'base_layer.bias' ? subject.model.sites().find(({ path }) => path === module)?.bias : undefined;
    return bias ? [[name, float32(bias.stored.read().slice(), bias.stored.dims)]] : [];
  });
  return new Adapter(adapter.config, new Map([...adapter.tensors, ...biases]));
}

/**
 * Makes a trainer that starts from the case's adapter.
 * @param optimizer AdamW by default
 * @param hooks whether tuners' hooks run around steps; expected gradients are without them
 * @param precision precision of the base; products too inaccurate on the case's batch stay in float32
 * @throws OnnxLoraError for an unsupported loss, layer or adapter
 */
export async function trainerFor(
  subject: ConformanceCase,
  runtime: Runtime,
  optimizer: Pick<TrainerRequest, 'optimizer' | 'groups'> = {},
  drawMask?: DrawMask,
  hooks: boolean = false,
  precision?: BasePrecision,
): Promise<{ trainer: Trainer; placed: PlacedAdapter; measured?: MeasuredPrecision }> {
  const { placed, plan } = await placeFor(subject, await trainableAdapter(subject), {
    drops: drawMask !== undefined && subject.masks.size > 0,
    hooks,
  });
  const request = {
    base: subject.model.onnx.model,
    plan,
    loss: caseLoss(subject),
    runtime,
    session: { threads: 1, ...(precision && !isProductPrecision(precision) && { arithmetic: precision.name }) },
    ...optimizer,
    ...(drawMask ? { drawMask } : {}),
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name: subject.id,
  } satisfies TrainerRequest;
  if (!precision || !isProductPrecision(precision)) return { trainer: new Trainer(request), placed };
  const measured = await measurePrecision(
    { ...request, precision },
    { inputs: subject.feeds, targets: subject.targets },
  );
  const { lossScale: initial } = measured;
  const scaled = initial === undefined ? {} : { lossScaling: { initial } };
  return { trainer: new Trainer({ ...request, ...scaled, precision: measured.precision }), placed, measured };
}

/** The adapter of trained parameters, with unused tensors carried over. */
export function adapterOf({ adapter, unused }: PlacedAdapter, parameters: ParameterSet): Adapter {
  const carried = unused.map((name) => [name, adapter.tensors.get(name)!] as const);
  return new Adapter(adapter.config, new Map([...carried, ...parameters.tensors()]));
}
