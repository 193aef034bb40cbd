/** @file Makes a conformance case without Python: its numbers come from the reference, not from what trains adapters. */

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { Adapter } from '../../adapter/adapter.ts';
import { writeSafetensors } from '../../adapter/formats/safetensors.ts';
import { OnnxLoraError } from '../../errors.ts';
import { openOnnx, writeOnnx } from '../../graph/file/onnxFile.ts';
import type { LoraOptions } from '../../model/planning/loraOptions.ts';
import type { Model } from '../../model/model.ts';
import type { ModuleInfo } from '../../model/opening/namedModules.ts';
import { planAdapter } from '../../model/planning/planAdapter.ts';
import { type Feeds, float32, type Tensor } from '../../runtime/tensor.ts';
import type { CaseLoss, CaseTraining } from '../conformance/case.ts';
import { runOnce } from '../graphs.ts';
import { randomAdapterOf } from '../randomAdapter.ts';
import type { WideTensors } from '../reference/adaptedWeights.ts';
import { Reference } from '../reference/reference.ts';
import { floatTensor, type Precision } from '../reference/wideSession.ts';

/** Settings of {@link AdamW64}: those of a case. */
interface AdamWSettings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
}

/** Moves one tensor. @see https://arxiv.org/abs/1711.05101 */
class AdamW64 {
  readonly #settings: AdamWSettings;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;

  constructor(size: number, settings: AdamWSettings) {
    this.#settings = settings;
    this.#mean = new Float64Array(size);
    this.#square = new Float64Array(size);
  }

  /** One step, in place. */
  step(values: Float64Array, gradient: Float64Array): void {
    const { lr, betas, eps, weightDecay } = this.#settings;
    const [first, second] = betas;
    this.#steps++;
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i]!;
      const m = (this.#mean[i] = first * this.#mean[i]! + (1 - first) * g);
      const v = (this.#square[i] = second * this.#square[i]! + (1 - second) * g * g);
      const [mean, square] = [m / (1 - first ** this.#steps), v / (1 - second ** this.#steps)];
      values[i] = values[i]! * (1 - lr * weightDecay) - (lr * mean) / (Math.sqrt(square) + eps);
    }
  }
}

/** What a case is made from. */
export interface MakeCaseOptions {
  /** A small model in one file: each number of the adapter takes four runs of it, and again for each step of training. */
  readonly model: Model;
  /** The adapter: linear layers, convolutions, embeddings, biases and saved modules. */
  readonly lora: LoraOptions;
  /** One batch, by input of the model. */
  readonly feeds: Feeds;
  /** What the loss compares the output with. */
  readonly labels: Tensor;
  /** `cross-entropy`, `cross-entropy-2d`, `mse` or `bce-with-logits`, of one of the outputs. */
  readonly loss: Pick<CaseLoss, 'kind' | 'output' | 'ignoreIndex'>;
  /** Steps of AdamW on the batch; 3 by default, 0 for a case without training. */
  readonly steps?: number;
  /** Rate of these steps; 0.01 by default. */
  readonly lr?: number;
  /** Seeds the adapter's values; 1 by default. */
  readonly seed?: number;
}

/** What a case says of where its numbers come from. */
const SELF_MADE = 'onnx-lora finite differences';

/** A gradient below it is none: the loss does not depend on the tensor. */
const NO_GRADIENT = 1e-10;

/**
 * Writes a conformance case that {@link conformance} reads, with numbers that owe nothing to injection, differentiation,
 * merging and the optimizer of the SDK: weights are edited in JavaScript, W + s·B·A, the loss is computed there, gradients
 * are central differences, and so are those of the steps of AdamW. What it shares with the SDK is the reading of the model:
 * which weight is whose, which PEFT's own cases check. `case.json` says in `reference` that the case is self-made.
 *
 * @example
 * await makeCase('fixtures/cases/cells', {
 *   model, lora: { r: 2, targetModules: ['query'] }, feeds: { pixels }, labels, loss: { kind: 'cross-entropy', output: 'logits' },
 * });
 *
 * @param folder is made; its name is the case's
 * @returns in which precision the differences were taken: float32 where ONNX Runtime has no float64 kernel for an operator
 *   behind an adapted layer
 * @throws OnnxLoraError `CONFIG_INVALID` for a loss, adapter or model that the reference does not know; `TARGET_NOT_FOUND`;
 *   `MODEL_UNSUPPORTED` for models in 16-bit floats
 */
export async function makeCase(folder: string, options: MakeCaseOptions): Promise<{ readonly precision: Precision }> {
  const { model, lora, feeds, labels, loss, steps = 3, lr = 0.01, seed = 1 } = options;
  if (model.parts.length > 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" is of several files, but a case has one. Make a case of one of them.`,
    );
  }
  if (!Object.hasOwn(model.outputs, loss.output)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${model.name}" has no output "${loss.output}", only ${Object.keys(model.outputs).join(', ')}. Name one of them.`,
    );
  }
  const planned = planAdapter(model, lora);
  const adapter = await randomAdapterOf(model, planned, seed);
  const reference = await Reference.of({ ...planned, model, feeds, labels, loss });
  try {
    const tensors = widened(adapter);
    const outputs = await reference.outputs(tensors);
    const gradients = await reference.gradients(tensors);
    const settings = { lr, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.01 } as const;
    const training = steps > 0 ? await trained(reference, tensors, steps, settings) : undefined;
    await mkdir(folder, { recursive: true });
    writeOnnx(path.join(folder, 'model.onnx'), openOnnx(model.file).model);
    const config = path.join(model.folder ?? '', 'config.json');
    if (model.folder !== undefined && existsSync(config)) await copyFile(config, path.join(folder, 'config.json'));
    await writeSafetensors(
      path.join(folder, 'inputs.safetensors'),
      new Map([...Object.entries(feeds), ['labels', labels]]),
    );
    await adapter.save(path.join(folder, 'adapter'), { overwrite: true });
    await writeSafetensors(path.join(folder, 'merged.safetensors'), reference.merged(tensors));
    const hasGradient = [...gradients].filter(([, values]) => values.some((each) => Math.abs(each) > NO_GRADIENT));
    const expected = new Map([
      ...named('base', await runOnce(model.onnx.model, feeds)),
      ...named('lora', outputs),
      ['lora.loss', float32([reference.lossOf(outputs)], [])] as const,
      ...hasGradient.map(
        ([name, values]) => [`lora.grad.${name}`, floatTensor(values, tensors.get(name)!.dims, 'float32')] as const,
      ),
      ...named('trained', training?.outputs ?? {}),
    ]);
    await writeSafetensors(path.join(folder, 'expected.safetensors'), expected);
    await training?.adapterFrom(adapter).save(path.join(folder, 'trained'), { overwrite: true });
    const description = {
      id: path.basename(path.resolve(folder)),
      reference: SELF_MADE,
      precision: reference.precision,
      opset: model.opset,
      inputs: Object.keys(feeds),
      outputs: Object.keys(model.outputs),
      loss,
      adapted: planned.plan.flatMap(({ lowRank }) => (lowRank ? [lowRank.savedAs ?? lowRank.site.path] : [])),
      trainable: [...adapter.tensors.keys()].sort(),
      modules: Object.fromEntries(model.modules().flatMap(torchModule)),
      train: training?.described ?? null,
    };
    await writeFile(path.join(folder, 'case.json'), `${JSON.stringify(description, undefined, 1)}\n`);
    return { precision: reference.precision };
  } finally {
    await reference.release();
  }
}

/** Steps of AdamW with the reference's gradients. */
async function trained(reference: Reference, start: WideTensors, steps: number, settings: AdamWSettings) {
  const tensors = new Map([...start].map(([name, { data, dims }]) => [name, { data: data.slice(), dims }]));
  const optimizers = new Map([...tensors].map(([name, { data }]) => [name, new AdamW64(data.length, settings)]));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    losses.push(reference.lossOf(await reference.outputs(tensors)));
    for (const [name, gradient] of await reference.gradients(tensors))
      if (gradient.some((each) => Math.abs(each) > NO_GRADIENT))
        optimizers.get(name)!.step(tensors.get(name)!.data, gradient);
  }
  const outputs = await reference.outputs(tensors);
  losses.push(reference.lossOf(outputs));
  return {
    outputs,
    described: { optimizer: 'adamw', ...settings, steps, losses } satisfies CaseTraining,
    adapterFrom: ({ config, baseDigest }: Adapter): Adapter =>
      new Adapter(
        config,
        new Map([...tensors].map(([name, { data, dims }]) => [name, floatTensor(data, dims, 'float32')])),
        baseDigest,
      ),
  };
}

function widened({ tensors }: Adapter): Map<string, { readonly data: Float64Array; readonly dims: readonly number[] }> {
  return new Map(
    [...tensors].map(([name, { data, dims }]) => [name, { data: Float64Array.from(data as Float32Array), dims }]),
  );
}

/** Outputs under the names that a case has for them, floats in single precision. */
function named(prefix: string, outputs: Readonly<Record<string, Tensor>>): (readonly [string, Tensor])[] {
  return Object.entries(outputs).map(([name, tensor]) => [
    `${prefix}.${name}`,
    tensor.type === 'float64' ? floatTensor(tensor.data as Float64Array, tensor.dims, 'float32') : tensor,
  ]);
}

const torchClasses: Readonly<Record<ModuleInfo['kind'], string | undefined>> = {
  linear: 'Linear',
  conv1d: 'Conv1d',
  conv2d: 'Conv2d',
  conv3d: 'Conv3d',
  convTranspose1d: 'ConvTranspose1d',
  convTranspose2d: 'ConvTranspose2d',
  embedding: 'Embedding',
  parameter: undefined,
};

function torchModule({ path: module, kind, weightShape, partOf }: ModuleInfo): [string, [readonly number[], string]][] {
  const type = torchClasses[kind];
  return type === undefined || partOf !== undefined ? [] : [[module, [weightShape, type]]];
}
