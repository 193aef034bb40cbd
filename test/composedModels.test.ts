/**
 * @file Models of several files against PEFT's numbers: whole models cut in two and joined again, and those that are
 * published as two.
 */

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type Adapter,
  type Feeds,
  float32,
  int64,
  loadAdapter,
  type Model,
  openModel,
  OrtRuntime,
  type Tensor,
  tensor,
} from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { type FamilyFiles, openOnnx, writeOnnx } from '@onnx-lora/sdk/plugin';
import { speechFamilies } from '@onnx-lora/speech';
import { visionFamilies } from '@onnx-lora/vision';
import { afterAll, describe, expect, it } from 'vitest';
import { readNames } from '../packages/sdk/src/graph/walk.ts';
import { noPlugins } from '../packages/sdk/src/plugin/registry/loadPlugins.ts';
import { readCase } from '../packages/testing/src/conformance/case.ts';
import { checks } from '../packages/testing/src/conformance/conformance.ts';
import { difference } from './support/graphs.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures');
const shared = path.join(import.meta.dirname, '../../shared');
const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-composed-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Two files that compute what one does: its first nodes, and the others, which read what crosses the cut. */
function cut(file: string, share: number): string[] {
  const { model } = openOnnx(file);
  const { graph } = model;
  const nodes = graph.node!;
  const at = Math.floor(share * nodes.length);
  const halves = [nodes.slice(0, at), nodes.slice(at)] as const;
  const yielded = new Set(halves[0].flatMap(({ output }) => output!));
  const crossing = [...new Set([...halves[1].flatMap(readNames), ...graph.output!.map(({ name }) => name!)])].filter((name) => yielded.has(name)); // prettier-ignore
  const folder = mkdtempSync(path.join(scratch, 'cut-'));
  return halves.map((node, i) => {
    const read = new Set(node.flatMap(readNames));
    const half = path.join(folder, `half${i}.onnx`);
    const { valueInfo: _, ...rest } = graph;
    writeOnnx(half, {
      ...model,
      graph: {
        ...rest,
        node,
        initializer: graph.initializer!.filter(({ name }) => read.has(name!)),
        input: [...graph.input!.filter(({ name }) => read.has(name!)), ...(i === 0 ? [] : crossing.map((name) => ({ name })))], // prettier-ignore
        output: i === 0 ? crossing.map((name) => ({ name })) : graph.output!,
      },
    });
    return half;
  });
}

/** Differences from PEFT after a case's model is cut and joined again. */
async function problemsOfCut(folder: string, share: number): Promise<Record<string, string>> {
  const runtime = new OrtRuntime();
  const subject = await readCase(folder, { runtime });
  const files = cut(path.join(folder, 'model.onnx'), share);
  const outputs = Object.keys(subject.model.outputs);
  const parts = files.map((file) => {
    const own = (openOnnx(file).model.graph.input ?? []).flatMap(({ name = '' }) =>
      name in subject.feeds ? [name] : [],
    );
    // An input that both halves read is one.
    return { name: path.basename(file, '.onnx'), inputNames: Object.fromEntries(own.map((name) => [name, name])) };
  });
  const model = await openModel(files, { runtime, files: { parts, outputs } });
  const found: Record<string, string> = {};
  for (const check of checks) {
    const room = mkdtempSync(path.join(scratch, 'check-'));
    const { status, detail } = await check.run({ ...subject, model }, { runtime, plugins: noPlugins, scratch: room });
    if (status === 'failed') found[check.name] = detail;
  }
  return found;
}

describe('cut in two and joined, PEFT agrees: outputs, loss, gradients, steps, merged weights', () => {
  it.each([
    ['vit-v4', 0.4],
    ['vit-dynamo-v5', 0.6],
    ['bert-fused-ortopt', 0.5],
    ['albert-shared-v4', 0.5],
    ['lora-tied-embeddings-ensured', 0.5],
    ['opt-v4', 0.7],
  ] as const)('%s at %d', async (name, share) => {
    expect(await problemsOfCut(path.join(fixtures, 'cases', name), share)).toEqual({});
  });

  it.skipIf(!existsSync(shared)).each([
    ['sam-full-v4', 0.6],
    ['whisper-seq2seq-v4', 0.3],
    ['whisper-seq2seq-dynamo-v5', 0.3],
  ] as const)('%s at %d', async (name, share) => {
    expect(await problemsOfCut(path.join(shared, 'oracle/cases', name), share)).toEqual({});
  });
});

/** How much the joined model and its parts, one after the other, differ. */
async function differences(
  model: Model,
  feeds: Feeds,
  steps: readonly { readonly part: string; readonly feeds: (before: Readonly<Record<string, Tensor>>) => Feeds }[],
  adapter?: Adapter,
): Promise<Record<string, number>> {
  const run = async (each: Model, own: Feeds): Promise<Record<string, Tensor>> => {
    const session = await each.session({ provider: 'cpu', worker: false, adapters: adapter ? { adapter } : {} });
    try {
      return await session.run(own, adapter ? { adapter: 'adapter' } : {});
    } finally {
      await session.release();
    }
  };
  const joined = await run(model, feeds);
  let known: Record<string, Tensor> = {};
  for (const step of steps) known = { ...known, ...(await run(model.part(step.part), step.feeds(known))) };
  return Object.fromEntries(Object.entries(joined).map(([name, value]) => [name, difference(known[name], value)]));
}

describe('a tiny Whisper, whose decoder is an If with two branches', () => {
  const folder = path.join(fixtures, 'whisperMerged');
  const files: FamilyFiles = {
    parts: [
      { name: 'encoder_model', prefix: 'model.encoder' },
      { name: 'decoder_model_merged', reads: { encoder_hidden_states: 'last_hidden_state' } },
    ],
  };

  /** The recordings and the golden answer, and the batch for the first step. */
  const read = async (
    variant: string,
  ): Promise<{ features: Tensor; ids: Tensor; tokens: number[]; adapter: Adapter | undefined }> => {
    const features = (await readSafetensors(path.join(folder, 'golden.safetensors'))).tensors.get('input_features')!;
    const { prompt, base_ids, lora_ids } = (await import('./fixtures/whisperMerged/golden.json', { with: { type: 'json' } })).default; // prettier-ignore
    const batch = features.dims[0]!;
    return {
      features,
      ids: int64(Array.from({ length: batch }, () => prompt).flat(), [batch, prompt.length]),
      tokens: (variant === 'lora' ? lora_ids : base_ids).map(([token]) => token!),
      adapter: variant === 'lora' ? await loadAdapter(path.join(folder, 'adapter')) : undefined,
    };
  };

  const tokensOf = async (model: Model, feeds: Feeds, adapter: Adapter | undefined): Promise<number[]> => {
    const session = await model.session({ provider: 'cpu', worker: false, adapters: adapter ? { adapter } : {} });
    const { logits } = await session.run(feeds, adapter ? { adapter: 'adapter' } : {});
    await session.release();
    const [batch, positions, vocabulary] = logits!.dims as [number, number, number];
    return Array.from({ length: batch }, (_, i) => {
      const start = (i * positions + positions - 1) * vocabulary;
      const row = Array.from((logits!.data as Float32Array).subarray(start, start + vocabulary));
      return row.indexOf(Math.max(...row));
    });
  };

  it.each(['base', 'lora'])(
    '%s: the joined model gives the golden first tokens, and so do its parts',
    async (variant) => {
      const model = await openModel(folder, { files });
      const { features, ids, tokens, adapter } = await read(variant);
      const pasts = Object.keys(model.inputs).filter((name) => name.startsWith('past_key_values'));
      const first = {
        input_ids: ids,
        use_cache_branch: tensor('bool', Uint8Array.of(0), [1]),
        ...Object.fromEntries(pasts.map((name) => [name, float32([], [ids.dims[0]!, 4, 0, 8])])),
      };
      const feeds = { ...first, input_features: features };
      const steps = [
        { part: 'encoder_model', feeds: () => ({ input_features: features }) },
        { part: 'decoder_model_merged', feeds: ({ last_hidden_state: states }: Feeds) => ({ ...first, encoder_hidden_states: states! }) }, // prettier-ignore
      ];
      const found = await differences(model, feeds, steps, adapter);
      expect(Object.keys(found)).toContain('logits');
      expect(Math.max(...Object.values(found))).toBeLessThan(1e-5);
      expect(await tokensOf(model, feeds, adapter)).toEqual(tokens);
    },
  );

  it.each(['base', 'lora'])('%s: the family joins it without a past', async (variant) => {
    const model = await openModel(folder, { families: speechFamilies });
    expect([Object.keys(model.inputs), Object.keys(model.outputs)]).toEqual([['input_features', 'decoder_input_ids'], ['logits']]); // prettier-ignore
    const { features, ids, tokens, adapter } = await read(variant);
    expect(await tokensOf(model, { input_features: features, decoder_input_ids: ids }, adapter)).toEqual(tokens);
  });
});

describe.skipIf(!existsSync(shared))('published models (need ../shared beside the checkout)', () => {
  it('SAM: the joined model is the encoder and then the decoder', async () => {
    const model = await openModel(path.join(shared, 'models/sam-tiny'), { families: visionFamilies });
    expect(model.family?.name).toBe('sam');
    const full = await openModel(path.join(shared, 'oracle/cases/sam-full-v4/model.onnx'), {
      families: visionFamilies,
    });
    expect(Object.keys(model.inputs)).toEqual(Object.keys(full.inputs));
    expect(Object.keys(model.outputs)).toEqual(Object.keys(full.outputs));
    const roots = (each: Model): string[] => [
      ...new Set(each.modules().map(({ path: module }) => module.split('.')[0]!)),
    ];
    expect(roots(full)).toEqual(expect.arrayContaining(roots(model)));
    const pixels = float32(
      Float32Array.from({ length: 3 * 128 * 128 }, (_, i) => Math.sin(i / 50)),
      [1, 3, 128, 128],
    );
    const prompt = { input_points: float32([30, 40, 60, 70], [1, 1, 2, 2]), input_labels: int64([1, 0], [1, 1, 2]) };
    const found = await differences(model, { pixel_values: pixels, ...prompt }, [
      { part: 'vision_encoder', feeds: () => ({ pixel_values: pixels }) },
      { part: 'prompt_encoder_mask_decoder', feeds: (before) => ({ image_embeddings: before['image_embeddings']!, image_positional_embeddings: before['image_positional_embeddings']!, ...prompt }) }, // prettier-ignore
    ]);
    expect(found).toEqual({ iou_scores: 0, pred_masks: 0 });
  });

  it('Whisper: the joined encoder and decoder are the one file for training', async () => {
    const published = path.join(shared, 'models/whisper-tiny.en');
    // The folder holds both, and the parts are preferred.
    const one = await openModel(path.join(published, 'onnx/model.onnx'), { families: speechFamilies });
    expect(one.parts).toEqual([]);
    const model = await openModel(published, { families: speechFamilies });
    expect(model.parts.map(({ name }) => name)).toEqual(['encoder_model', 'decoder_model', 'decoder_with_past_model', 'decoder_model_merged']); // prettier-ignore
    expect(model.family?.name).toBe('whisper');
    expect(model.modules().map(({ path: module }) => module)).toEqual(one.modules().map(({ path: module }) => module));
    expect([model.inputs, model.outputs]).toEqual([one.inputs, one.outputs]);
    expect(await model.digest()).toBe(await one.digest());
    const features = float32(
      Float32Array.from({ length: 80 * 3000 }, (_, i) => Math.sin(i / 9)),
      [1, 80, 3000],
    );
    const feeds = { input_features: features, decoder_input_ids: int64([50257, 50362, 314, 262], [1, 4]) };
    const logits = await Promise.all(
      [model, one].map(async (each) => {
        const session = await each.session({ provider: 'cpu', worker: false });
        try {
          return (await session.run(feeds))['logits'];
        } finally {
          await session.release();
        }
      }),
    );
    expect(difference(logits[0], logits[1])).toBe(0);
  });
});
