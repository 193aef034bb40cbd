/** @file Checks tuners. */

import { OnnxLoraError, openModel, OrtRuntime } from '@onnx-lora/sdk';
import { type TensorSpec, type Tuner, definePlugin } from '@onnx-lora/sdk/plugin';
import { checkAdapterRoundTrip } from '../adapters/checkAdapterRoundTrip.ts';
import { randomAdapter, randomFeeds } from '../random.ts';
import { call, failureOf } from '../failures.ts';
import { checkGradients } from '../gradients/checkGradients.ts';
import { inScratch } from '../scratch.ts';
import { linearNet } from '../models/smallNets.ts';
import { publishModel } from '../models/publishModel.ts';

/**
 * Checks a tuner with random values on a small net of linear layers: {@link checkAdapterRoundTrip}, and its gradients
 * by finite differences. For PEFT's own numbers, see {@link conformance}.
 * @example
 * assert.deepEqual(await checkTuner(ia3, { feedforward_modules: ['encoder.1'] }), []);
 * @param settings of the tuner, its defaults without; the layers are `encoder.0` and `encoder.1`
 * @returns the problems found, including errors; empty if there are none
 */
export async function checkTuner(tuner: Tuner, settings: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  try {
    return await inScratch((folder) => problemsOf(tuner, settings, folder));
  } catch (error) {
    if (error instanceof OnnxLoraError) return [error.message];
    return failureOf(error);
  }
}

async function problemsOf(
  tuner: Tuner,
  settings: Readonly<Record<string, unknown>>,
  folder: string,
): Promise<string[]> {
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
}

/** The tuner, with errors that name the failing call. */
function watched(tuner: Tuner): Tuner {
  const calls = <Part extends object>(part: Part, inside: Inside = {}, nameOf = (key: string): string => key): Part =>
    new Proxy(Object.create(part) as Part, {
      get: (_, key) => {
        const value: unknown = Reflect.get(part, key);
        const into = inside[String(key)] ?? ((each: object): object => each);
        if (typeof value !== 'function') return value && into(value);
        return (...given: unknown[]) => into(call(nameOf(String(key)), () => value.apply(part, given) as object));
      },
    });
  const tensors = (all: object): object =>
    Object.fromEntries(
      Object.entries(all).map(([name, each]) => [name, calls(each as TensorSpec, {}, (key) => `${key} of "${name}"`)]),
    );
  const unmerged = (part: object): object => calls(part, {}, (key) => `unmerged ${key}`);
  return calls(tuner, { tune: (tuning) => calls(tuning, { tensors, unmerged }), training: (hooks) => calls(hooks) });
}

/** How to wrap a part's properties and results of its functions, by name. */
type Inside = Readonly<Record<string, (part: object) => object>>;
