/** @file What must hold of a tuner. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { OnnxLoraError } from '../../errors.ts';
import type { ChangeOfLayer, TrainingHooks, TunedTensor, Tuner, Tuning } from '../../lora/tuner.ts';
import { openModel } from '../../model/opening/openModel.ts';
import { definePlugin } from '../../plugin/registry/definePlugin.ts';
import { OrtRuntime } from '../../runtime/ort.ts';
import { checkAdapterRoundTrip } from '../adapters/checkAdapterRoundTrip.ts';
import { randomFeeds } from '../adapters/randomFeeds.ts';
import { call, failureOf } from '../failures.ts';
import { checkGradients } from '../gradients/checkGradients.ts';
import { linearNet } from '../models/linearNet.ts';
import { publishModel } from '../models/publishModel.ts';
import { randomAdapter } from '../randomAdapter.ts';

/**
 * Checks a tuner on a small net of linear layers, with random values in its tensors: what {@link checkAdapterRoundTrip} asks
 * of every adapter (files, the base where no adapter is named, merging where the tuner merges), and its gradients by finite
 * differences. PEFT's own numbers are for {@link conformance}.
 *
 * @example
 * assert.deepEqual(await checkTuner(ia3, { feedforward_modules: ['encoder.1'] }), []);
 *
 * @param settings of the tuner, its defaults without; the layers are `encoder.0` and `encoder.1`
 * @returns what does not hold, and what its functions throw; nothing where all is well
 */
export async function checkTuner(tuner: Tuner, settings: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tuner-'));
  try {
    const plugins = [definePlugin({ name: 'checked', tuners: [watched(tuner)] })];
    const published = await publishModel(folder, { model: linearNet() });
    const model = await openModel(published, { plugins, runtime: new OrtRuntime() });
    const lora = { tuner: { name: tuner.name, ...settings }, targetModules: ['encoder.0', 'encoder.1'] };
    const gradients = await checkGradients(model, {
      lora,
      inputs: randomFeeds(model),
      targets: {},
      loss: (g, { logits }) => g.ReduceMean(g.Mul(logits!, g.Tanh(logits!)), [0, 1], false),
    });
    return [
      ...(await checkAdapterRoundTrip(model, await randomAdapter(model, { lora }))),
      ...gradients.flatMap(({ problem }) => problem ?? []),
    ];
  } catch (error) {
    if (error instanceof OnnxLoraError) return [error.message];
    return failureOf(error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same tuner, of which a call that fails says which it was. */
function watched(tuner: Tuner): Tuner {
  const { name, peftType, description, defaults, kinds } = tuner;
  return {
    ...(kinds && { kinds }),
    name,
    peftType,
    description,
    defaults,
    ...(tuner.refuses && { refuses: (...given) => call('refuses', () => tuner.refuses!(...given)) }),
    ...(tuner.saved && { saved: (...given) => call('saved', () => tuner.saved!(...given)) }),
    ...(tuner.training && { training: (...given) => watchedHooks(call('training', () => tuner.training!(...given))) }),
    tune: (...given) => watchedTuning(call('tune', () => tuner.tune(...given))),
  };
}

function watchedTuning(tuning: Tuning): Tuning {
  const entries = Object.entries(tuning.tensors).map(([name, tensor]): [string, TunedTensor] => [
    name,
    {
      ...tensor,
      first: (random) => call(`first of "${name}"`, () => tensor.first(random)),
      idle: () => call(`idle of "${name}"`, () => tensor.idle()),
    },
  ]);
  const { linearIn, toLora } = tuning;
  const tensors = Object.fromEntries(entries);
  const more = {
    ...(linearIn && { linearIn }),
    ...(toLora && { toLora: (...given: Parameters<typeof toLora>) => call('toLora', () => toLora(...given)) }),
  };
  if ('delta' in tuning) return { tensors, ...more, delta: (...given) => call('delta', () => tuning.delta(...given)) };
  const { unmerged } = tuning;
  return {
    tensors,
    ...more,
    apply: (...given) => call('apply', () => tuning.apply(...given)),
    ...watchedMerge(tuning, ''),
    ...(unmerged && { unmerged: watchedMerge(unmerged, 'unmerged ') }),
  };
}

function watchedHooks(hooks: TrainingHooks): TrainingHooks {
  return {
    ...(hooks.loss && { loss: (...given) => call('loss', () => hooks.loss!(...given)) }),
    ...(hooks.gradients && { gradients: (step) => call('gradients', () => hooks.gradients!(step)) }),
    ...(hooks.after && { after: (step) => call('after', () => hooks.after!(step)) }),
  };
}

function watchedMerge(
  { weight, bias }: Pick<ChangeOfLayer, 'weight' | 'bias'>,
  which: string,
): Pick<ChangeOfLayer, 'weight' | 'bias'> {
  return {
    ...(weight && { weight: (...given) => call(`${which}weight`, () => weight(...given)) }),
    ...(bias && { bias: (...given) => call(`${which}bias`, () => bias(...given)) }),
  };
}
