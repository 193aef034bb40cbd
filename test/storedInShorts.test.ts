/** @file A model stored in bfloat16 computes, learns and merges as the float32 model of the rounded weights. */

import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { merge, openModel, type Tensor } from '@onnx-lora/sdk';
import { openOnnx, readFloats, type TensorProto, writeOnnx } from '@onnx-lora/sdk/plugin';
import { afterAll, describe, expect, it } from 'vitest';
import { rawBytes } from '../packages/sdk/src/graph/tensorData.ts';
import { readBytes } from '../packages/sdk/src/graph/bytes.ts';
import { floatTensor } from '../packages/sdk/src/match/weights/plain.ts';
import { conformance } from '../packages/testing/src/conformance/conformance.ts';
import { type ConformanceCase, readCase } from '../packages/testing/src/conformance/case.ts';
import { caseAdapter, outputsOf } from '../packages/testing/src/conformance/outputs.ts';
import { trainerFor } from '../packages/testing/src/conformance/trainable.ts';
import { released } from '../packages/testing/src/scratch.ts';
import { caseFolders } from './support/caseFolders.ts';
import { difference } from './support/graphs.ts';
import { inShorts, mappingRuntime } from './support/inShorts.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-shorts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const texts = caseFolders().filter(([name]) =>
  /^(opt|gpt2|llama|t5|bert|chemberta|minilm|mixtral|albert|deberta|esm2|lora-tied|lora-trainable-tokens)/.test(name),
);
const STEPS = 3;
const TOLERANCE = 1e-5;

/** Small parts, so that each weight has several. */
const runtime = mappingRuntime(64);

/** The case with its weights in bfloat16, and rounded to it. */
async function variants(folder: string): Promise<readonly [stored: ConformanceCase, rounded: ConformanceCase]> {
  const models = inShorts(openOnnx(path.join(folder, 'model.onnx')).model, 'bfloat16');
  const [stored, rounded] = Object.entries(models).map(async ([kind, model]) => {
    const place = path.join(scratch, `${path.basename(folder)}-${kind}`);
    mkdirSync(place);
    cpSync(folder, place, { recursive: true, filter: (file) => !file.endsWith('.onnx') });
    writeOnnx(path.join(place, 'model.onnx'), model, 0);
    return readCase(place, { runtime });
  });
  return [await stored!, await rounded!];
}

const isQuantized = (folder: string): boolean =>
  openOnnx(path.join(folder, 'model.onnx')).model.graph.node!.some(({ opType = '' }) => /quant|NBits|Integer/i.test(opType)); // prettier-ignore

describe.each(texts.filter(([, folder]) => !isQuantized(folder)))('%s', (_, folder) => {
  it('computes, learns and merges alike', async () => {
    const [stored, rounded] = await variants(folder);
    const modules = stored.model.modules();
    expect(modules.map((each) => each.path)).toEqual(rounded.model.modules().map((each) => each.path));
    expect(new Set(modules.map(({ storage }) => storage))).toEqual(new Set(['bfloat16']));
    const [found, wanted] = [await answers(stored), await answers(rounded)];
    for (const [name, tensor] of Object.entries(wanted))
      expect(difference(found[name]!, tensor)).toBeLessThan(TOLERANCE);
    if (stored.loss) {
      const [own, other] = [await learned(stored), await learned(rounded)];
      for (const [i, loss] of own.losses.entries()) expect(loss).toBeCloseTo(other.losses[i]!, 5);
      const largest = Math.max(...[...other.gradients.values()].map(magnitude));
      for (const [name, gradient] of other.gradients) {
        const off = magnitude(own.gradients.get(name)!.map((value, i) => value - gradient[i]!));
        expect(off, name).toBeLessThan(TOLERANCE * largest);
      }
    }
    if (stored.merged) await expectMerged(stored, rounded);
  });
});

function magnitude(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
}

async function answers(subject: ConformanceCase): Promise<Record<string, Tensor>> {
  return outputsOf(subject.model, subject, await caseAdapter(subject));
}

async function learned(subject: ConformanceCase): Promise<{ readonly losses: readonly number[]; readonly gradients: ReadonlyMap<string, Float32Array> }> {
  const { trainer } = await trainerFor(subject, runtime);
  return released(trainer, async () => {
    const { gradients } = await trainer.lossAndGradients(subject.feeds, subject.targets);
    const losses: number[] = [];
    for (let i = 0; i < STEPS; i++) losses.push((await trainer.step(subject.feeds, subject.targets, 1e-3)).loss);
    return { losses, gradients };
  });
} // prettier-ignore

/** The merged weights are those of float32, rounded to nearest even, as PEFT merges in bfloat16. */
async function expectMerged(stored: ConformanceCase, rounded: ConformanceCase): Promise<void> {
  const weights = await Promise.all(
    [stored, rounded].map(async (subject) => {
      const { files } = await merge(
        subject.model,
        await caseAdapter(subject),
        path.join(subject.folder, 'merged.onnx'),
      );
      return openOnnx(files[0]!).model.graph.initializer!;
    }),
  );
  const [found, wanted] = weights as [TensorProto[], TensorProto[]];
  const numbers = new Map(wanted.map((tensor) => [tensor.name!, tensor]));
  const shorts = found.filter(({ dataType }) => dataType === 16);
  expect(shorts.length).toBeGreaterThan(0);
  for (const tensor of shorts) {
    const nearest = floatTensor('', 'bfloat16', readFloats(numbers.get(tensor.name!)!), tensor.dims!);
    expect(Buffer.compare(readBytes(rawBytes(tensor)!), readBytes(nearest.rawData!)), tensor.name!).toBe(0);
  }
}

describe('a model in bfloat16 is opened in a precision as the rounded model is', () => {
  const folder = caseFolders().find(([name]) => name === 'opt-v4')![1];
  const files = Object.entries(inShorts(openOnnx(path.join(folder, 'model.onnx')).model, 'bfloat16')).map(
    ([kind, model]) => {
      const file = path.join(scratch, `precision-${kind}.onnx`);
      writeOnnx(file, model);
      return file;
    },
  );

  it.each([
    { name: 'int8', smallest: 1, saturates: true },
    { name: 'int4', smallest: 1, blockSize: 16 },
    { name: 'nf4', smallest: 1, blockSize: 16 },
  ] as const)('$name', async (precision) => {
    const [stored, rounded] = await Promise.all(
      files.map(async (file) => {
        const model = await openModel(file, { precision });
        const outputs = await outputsOf(model, await readCase(folder, {}));
        return { storage: model.modules().map((each) => each.storage), outputs };
      }),
    );
    // Quantised weights are the same, as are the products.
    if (precision.name !== 'int8') expect(stored!.storage).toEqual(rounded!.storage);
    for (const [name, tensor] of Object.entries(rounded!.outputs))
      expect(difference(stored!.outputs[name], tensor), name).toBeLessThan(1e-6);
  });

  it('gradients in int8, measured alike', async () => {
    const precision = { name: 'int8', smallest: 1, saturates: true } as const;
    const [own, other] = await Promise.all(
      files.map(async (file) => {
        const subject = { ...(await readCase(folder, {})), model: await openModel(file) };
        const { trainer, measured } = await trainerFor(subject, runtime, undefined, undefined, false, precision);
        return released(trainer, async () => {
          const { loss } = await trainer.lossAndGradients(subject.feeds, subject.targets);
          return { loss, measured: measured! };
        });
      }),
    );
    expect(own!.measured.products.length).toBeGreaterThan(20);
    expect(own!.measured.products.map(({ name }) => name)).toEqual(other!.measured.products.map(({ name }) => name));
    for (const [i, { error }] of own!.measured.products.entries())
      expect(error).toBeCloseTo(other!.measured.products[i]!.error, 5);
    expect(own!.loss).toBeCloseTo(other!.loss, 5);
  });
});

describe('weights in float32 that are read where they are mapped', () => {
  it.each(caseFolders().filter(([name]) => /^(vit-v4|t5|opt|lora-linear|mixtral|llama|whisper-encoder|gpt2)/.test(name)))(
    'give the numbers of PEFT: %s',
    async (_, folder) => {
      const { checks } = await conformance(folder, { runtime });
      expect(checks.filter(({ status }) => status === 'failed').map(({ check, detail }) => `${check}: ${detail}`)).toEqual([]);
    },
  );
}); // prettier-ignore
