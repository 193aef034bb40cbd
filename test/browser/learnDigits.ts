/** @file Learns turned digits with a small ViT: the same program on a page and in Node. */

import { float32, int64, merge, openModel, train } from '@onnx-lora/sdk';
import { crossEntropy, type Dataset, type Task } from '@onnx-lora/sdk/tasks';

/** A digit: 784 pixels from -1 to 1, and what it shows. */
export interface Digit {
  readonly pixels: readonly number[];
  readonly label: number;
}

/** Results to compare. */
export interface Learned {
  readonly losses: readonly number[];
  /** Share of the held-out digits that are recognised. */
  readonly accuracy: number;
  /** Seconds of all steps. */
  readonly seconds: number;
  /** The largest difference between the outputs of the merged model and of the adapter. */
  readonly merged: number;
}

const PIXELS = 28;

function digitTask({ digits, heldOut, holdAfter = Infinity }: Lesson): Task<Digit> {
  let batches = 0;
  const dataset = (all: readonly Digit[]): Dataset<Digit> => ({
    length: all.length,
    get: (i) => Promise.resolve(all[i]!),
  });
  return {
    name: 'digits',
    prepare: () =>
      Promise.resolve({
        train: dataset(digits),
        validation: dataset(heldOut),
        collate: async (batch) => {
          if (++batches > holdAfter) await new Promise(() => undefined);
          const labels = batch.map(({ label }) => label);
          return { inputs: { pixel_values: pixelsOf(batch) }, targets: { label: int64(labels, [labels.length]) } };
        },
        loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['label']!),
        lossWeight: ({ label }) => label!.data.length,
        metrics: () => {
          let [right, count] = [0, 0];
          return {
            update: ({ logits }, { label }) => {
              const classes = logits!.dims[1]!;
              for (let i = 0; i < label!.data.length; i++, count++) {
                const scores = Array.from({ length: classes }, (_, c) => Number(logits!.data[i * classes + c]));
                if (scores.indexOf(Math.max(...scores)) === Number(label!.data[i])) right++;
              }
            },
            result: () => ({ accuracy: right / count }),
          };
        },
      }),
  };
}

function pixelsOf(digits: readonly Digit[]): ReturnType<typeof float32> {
  return float32(digits.flatMap(({ pixels }) => [...pixels, ...pixels, ...pixels]), [digits.length, 3, PIXELS, PIXELS]); // prettier-ignore
}

/** Data and length of a training. */
export interface Lesson {
  readonly digits: readonly Digit[];
  readonly heldOut: readonly Digit[];
  readonly steps: number;
  /** Folder of checkpoints, every five steps, to resume from if there are any. */
  readonly checkpoints?: string | undefined;
  /** The data of later batches never come. */
  readonly holdAfter?: number;
}

/**
 * Trains an adapter, saves it in PEFT's form to `out/adapter` and the merged model to `out/merged.onnx`.
 * @param folder of the model
 */
export async function learnDigits(
  folder: string,
  out: string,
  lesson: Lesson,
  onStep?: (step: number) => void,
): Promise<Learned> {
  const { heldOut, steps, checkpoints } = lesson;
  const model = await openModel(folder);
  const losses: number[] = [];
  const run = await train(model, {
    task: digitTask(lesson),
    lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
    steps,
    batchSize: 16,
    lr: 5e-3,
    seed: 7,
    ...(checkpoints !== undefined && { checkpoints: { folder: checkpoints, every: 5 }, resume: true }),
  });
  for await (const event of run) {
    if (event.type !== 'step') continue;
    losses.push(event.loss);
    onStep?.(event.step);
  }
  const { adapter, seconds } = await run.done;
  await adapter.save(`${out}/adapter`);
  await merge(model, adapter, `${out}/merged.onnx`);
  const inputs = { pixel_values: pixelsOf(heldOut) };
  const session = await model.session({ adapters: { turned: adapter } });
  const adapted = (await session.run(inputs, { adapter: 'turned' }))['logits']!;
  await session.release();
  const plain = await (await openModel(`${out}/merged.onnx`)).session();
  const merged = (await plain.run(inputs))['logits']!;
  await plain.release();
  const scores = heldOut.map((_, i) => Array.from({ length: 10 }, (_each, c) => Number(adapted.data[10 * i + c])));
  return {
    losses,
    accuracy: scores.filter((each, i) => each.indexOf(Math.max(...each)) === heldOut[i]!.label).length / heldOut.length,
    seconds,
    merged: Math.max(
      ...Array.from(adapted.data as Float32Array, (value, i) => Math.abs(value - Number(merged.data[i]))),
    ),
  };
}
